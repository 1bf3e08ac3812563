package policy

// Asset says how a device without a daemon earns a tag. The gateway before it
// observes, the coordinator confirms; what matches nothing has no tag.
type Asset struct {
	Pos    Position
	Tag    string // "tag:pump"
	Behind string // tag of the gateways that may vouch for it
	Match  Match

	Bind    string // how the gateway knows that it is still the same: "mac", "mac+port" or "802.1x"
	Isolate string // "slash32": it reaches nothing in its own network either; empty: it may
}

// Match is what must be so of a device: all of it.
type Match struct {
	Set    string   // an ipset that has its address
	VLAN   uint16   // 1 to 4094; 0: any
	OUI    []string // its maker, one of these
	Vendor string   // regular expression (RE2) for the vendor class that it says by DHCP (RFC 2132 section 9.13); empty: any
}
