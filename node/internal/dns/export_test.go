package dns

import (
	"net/netip"

	miekg "github.com/miekg/dns"
)

// Learn gives a responder all that answers come from.
func (r *Responder) Learn(z *Zone, direct []string, own []netip.AddrPort, rest bool) {
	k := &knowledge{zone: z, own: own, rest: rest, direct: map[string]bool{}}
	for _, name := range direct {
		k.direct[miekg.Fqdn(name)] = true
	}
	r.known.Store(k)
}

// ReverseZones is reverseZones.
func ReverseZones(r netip.Prefix) []string { return reverseZones(r) }

// MaxAsked is maxAsked.
const MaxAsked = maxAsked

// Insert and Remove change a resolv.conf as the file mode does.
func Insert(path, iface string) error { return resolvConf{path, iface}.insert() }

// Originals gives the servers that a resolv.conf names after ours.
func Originals(path, iface string) []netip.AddrPort {
	text, err := resolvConf{path, iface}.read()
	if err != nil {
		return nil
	}
	return resolvConf{path, iface}.originals(text)
}
