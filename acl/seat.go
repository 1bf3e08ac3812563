package acl

// Seat is what one session has of its own at a machine of several people. A packet
// from one of its prefixes is that person's, at that machine: it is judged by their
// classes and by the seat's facts in place of the machine's. A seat opens flows and
// answers in them; nobody opens one to it.
type Seat struct {
	Session  string // id; unlike that of any other seat of the machine
	Prefixes []PrefixClass
	Facts    []FactEnd
}
