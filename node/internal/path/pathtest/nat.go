package pathtest

import (
	"net/netip"
	"time"
)

// Kind is how a NAT maps and filters, in the words of RFC 4787.
type Kind uint8

const (
	// Open maps endpoint-independently and lets everybody in ("full cone").
	Open Kind = iota
	// PortRestricted maps endpoint-independently and lets in only who was sent
	// to. Most home routers.
	PortRestricted
	// Symmetric maps per destination and lets in only that destination. Hospital
	// firewalls, mobile networks.
	Symmetric
)

// NAT joins a local network to the internet behind one public address.
type NAT struct {
	public  netip.Addr
	lan     string
	kind    Kind
	timeout time.Duration
	port    uint16
	byInner map[natKey]*mapping
	byPort  map[uint16]*mapping
}

type natKey struct{ inner, dst netip.AddrPort }

type mapping struct {
	key  natKey
	port uint16
	used time.Time
	sent map[netip.AddrPort]bool
}

// NAT adds one. Mappings die after 30 s without a packet from inside.
func (n *Internet) NAT(lan, public string, kind Kind) *NAT {
	nat := &NAT{public: netip.MustParseAddr(public), lan: lan, kind: kind, timeout: 30 * time.Second, port: 40000}
	nat.Reboot()
	n.nats[nat.public] = nat
	return nat
}

// Reboot forgets every mapping; new ones get new ports.
func (t *NAT) Reboot() { t.byInner, t.byPort = map[natKey]*mapping{}, map[uint16]*mapping{} }

// out gives the public source of a packet from inside.
func (t *NAT) out(now time.Time, inner, dst netip.AddrPort) netip.AddrPort {
	k := natKey{inner: inner}
	if t.kind == Symmetric {
		k.dst = dst
	}
	m := t.byInner[k]
	if m == nil || now.Sub(m.used) > t.timeout {
		t.port += 7
		m = &mapping{key: k, port: t.port, sent: map[netip.AddrPort]bool{}}
		t.byInner[k], t.byPort[m.port] = m, m
	}
	m.used, m.sent[dst] = now, true
	return netip.AddrPortFrom(t.public, m.port)
}

// in finds where a packet from outside goes, if it may come in.
func (t *NAT) in(now time.Time, src netip.AddrPort, port uint16) (netip.AddrPort, bool) {
	m := t.byPort[port]
	if m == nil || now.Sub(m.used) > t.timeout || t.kind != Open && !m.sent[src] {
		return netip.AddrPort{}, false
	}
	return m.key.inner, true
}
