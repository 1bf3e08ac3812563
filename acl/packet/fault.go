package packet

// Fault says why a packet cannot be judged. The zero Fault is none.
type Fault uint8

// The faults, each with what an attacker or a broken sender would do with it.
const (
	Sound          Fault = iota
	Truncated            // fewer bytes than a header promises
	BadVersion           // neither IPv4 nor IPv6
	BadLength            // length fields that contradict each other or the buffer
	SourceRoute          // the sender chose the way, and so the real destination (RFC 5095, RFC 7126)
	TooManyHeaders       // more extension headers than anyone needs
	BadHeaderOrder       // hop-by-hop options not in first place, or two fragment headers
	Jumbo                // IPv6 jumbogram: no mesh link can carry one
	Mapped               // an IPv4 address in IPv6 form: two names for one host
	BadFragment          // a fragment that is empty, unaligned or beyond 65,535 bytes
	TinyFragment         // a first fragment without the whole transport header (RFC 1858, RFC 7112)
	Overlap              // a later fragment that may rewrite the transport header (RFC 3128)
	BadTransport         // a transport header that contradicts itself
	faultsCount          // keep last
)

// String gives the fault in a few words.
func (f Fault) String() string {
	texts := [...]string{
		Sound: "sound", Truncated: "truncated", BadVersion: "unknown IP version", BadLength: "lengths do not add up",
		SourceRoute: "source route", TooManyHeaders: "too many extension headers", BadHeaderOrder: "extension headers out of order",
		Jumbo: "jumbogram", Mapped: "IPv4 address in IPv6 form", BadFragment: "impossible fragment",
		TinyFragment: "first fragment lacks the transport header", Overlap: "fragment overlaps the transport header",
		BadTransport: "bad transport header",
	}
	if f < faultsCount {
		return texts[f]
	}
	return "unknown fault"
}
