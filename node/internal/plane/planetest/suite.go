package planetest

import (
	"testing"
	"time"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/coordinator/wire/key"
	"github.com/cordonmesh/cordon/node/internal/plane"
)

// Run tries everything that a plane promises on pairs from lab.
func Run(t *testing.T, lab Lab) {
	for _, c := range []struct {
		name string
		body func(t *testing.T, p *Pair)
	}{
		{"deny until configured", denyUntilConfigured},
		{"permit and refuse", permitAndRefuse},
		{"verdict table", verdictTable},
		{"both ends enforce", bothEndsEnforce},
		{"spoofed sources", spoofedSources},
		{"real protocol", realProtocol},
		{"refusals are answered", refusalsAnswered},
		{"peers are answered", peersAnswered},
		{"addresses of nobody", addressesOfNobody},
		{"fragments", fragments},
		{"revocation", revocation},
		{"listeners are told", listenersTold},
		{"who knows of nothing is told", unknowingTold},
		{"facts end", factsEnd},
		{"limits", limits},
		{"what is forbidden", forbidBeatsPermit},
		{"what is open drains", draining},
		{"shut out while it drains", shutOutWhileDraining},
		{"what is only monitored", monitoring},
		{"peer removed", peerRemoved},
		{"peer with a new key", peerRekeyed},
		{"peer with a new id", peerRenamed},
		{"addresses of a peer", addressesOfAPeer},
		{"several people at a machine", seats},
		{"nobody calls a seat", seatsAreNotCalled},
		{"sessions outlive changes", sessionsOutliveChanges},
		{"peers come when needed", peersCome},
		{"peers go when idle", peersGo},
		{"silences of any length", silences},
		{"bad configuration denies", badConfigurationDenies},
		{"explain", explains},
		{"close", closes},
	} {
		t.Run(c.name, func(t *testing.T) { lab(t, c.body) })
	}
}

func denyUntilConfigured(t *testing.T, p *Pair) {
	early := [][]byte{UDP(A4, B4, 5000, 53), TCP(A6, B6, 5000, 443, SYN), Echo(A4, B4, 1, false)}
	p.A.Send(early...)
	p.Still()
	if v, _ := p.A.Plane.Explain(question(plane.Out, A4, B4, acl.UDP, 53)); v.Allow || v.Reason != acl.NoMap {
		t.Errorf("before Configure: %v, want %q", v, acl.NoMap)
	}
	// A rule set that permits all this shows that the packets were not just waiting.
	w := newWorld(t, p, open("all", service(acl.UDP, 0, 65535), service(acl.TCP, 0, 65535)))
	p.Still()
	for _, got := range p.B.Drain() {
		t.Errorf("a packet from before Configure arrived: %x", got)
	}
	w.passes("after Configure", p.A, p.B, UDP(A4, B4, 5000, 54))
}

func permitAndRefuse(t *testing.T, p *Pair) {
	w := newWorld(t, p, open("r", service(acl.UDP, 53, 60), service(acl.TCP, 443, 443)))
	for _, f := range []struct {
		name string
		a, b Address
	}{{"IPv4", A4, B4}, {"IPv6", A6, B6}} {
		w.passes(f.name+" UDP", p.A, p.B, UDP(f.a, f.b, 5000, 53))
		w.passes(f.name+" UDP, last port", p.A, p.B, UDP(f.a, f.b, 5000, 60))
		w.passes(f.name+" UDP answer", p.B, p.A, UDP(f.b, f.a, 53, 5000))
		w.refused(f.name+" UDP, below", p.A, p.B, UDP(f.a, f.b, 5000, 52))
		w.refused(f.name+" UDP, above", p.A, p.B, UDP(f.a, f.b, 5000, 61))
		w.refused(f.name+" UDP the other way", p.B, p.A, UDP(f.b, f.a, 5000, 53))
		w.passes(f.name+" TCP SYN", p.A, p.B, TCP(f.a, f.b, 5000, 443, SYN))
		w.passes(f.name+" TCP SYN+ACK", p.B, p.A, TCP(f.b, f.a, 443, 5000, SYN|ACK))
		w.passes(f.name+" TCP ACK", p.A, p.B, TCP(f.a, f.b, 5000, 443, ACK))
		w.refused(f.name+" TCP to another port", p.A, p.B, TCP(f.a, f.b, 5000, 22, SYN))
		w.refused(f.name+" TCP the other way", p.B, p.A, TCP(f.b, f.a, 5000, 443, SYN))
		w.passes(f.name+" echo", p.A, p.B, Echo(f.a, f.b, 9, false))
		w.passes(f.name+" echo answer", p.B, p.A, Echo(f.b, f.a, 9, true))
		w.refused(f.name+" echo answer to nothing", p.B, p.A, Echo(f.b, f.a, 10, true))
	}
}

// Each end refuses by itself, whatever the other was told.
func bothEndsEnforce(t *testing.T, p *Pair) {
	w := newWorld(t, p)
	rule := []acl.Rule{open("r", service(acl.UDP, 53, 53))}
	w.a.Rules.Out, w.b.Rules.In = rule, nil
	w.apply()
	p.A.Drain()
	w.refused("the receiver does not permit it", p.A, p.B, UDP(A4, B4, 5000, 53))
	if got := p.A.Drain(); len(got) != 0 {
		t.Errorf("who may not speak to the receiver at all got %x from it", got)
	}
	if n := count(t, p.B.Plane, acl.NoRule); n != 1 {
		t.Errorf("the receiver counted %d refusals, want 1", n)
	}
	w.a.Rules.Out, w.b.Rules.In = nil, rule
	w.apply()
	w.refused("the sender does not permit it", p.A, p.B, UDP(A4, B4, 5000, 53))
	if n := count(t, p.B.Plane, acl.NoRule); n != 1 {
		t.Errorf("a packet that the sender refuses reached the receiver")
	}
	w.a.Rules.Out = rule
	w.apply()
	w.passes("both permit it", p.A, p.B, UDP(A4, B4, 5000, 53))
}

// A is made to believe that foreign addresses are its own: B must not.
func spoofedSources(t *testing.T, p *Pair) {
	w := newWorld(t, p, open("r", service(acl.UDP, 53, 53)))
	for _, foreign := range []Address{"100.64.0.3", "224.0.0.1", "127.0.0.1", "169.254.169.254", Far4} {
		w.a.Self.Prefixes = append(w.a.Self.Prefixes, acl.PrefixClass{Prefix: foreign.Host(), Class: classA})
	}
	for _, foreign := range []Address{"fd5a:c0de::3", "fe80::1", "ff02::1", "::1", Far6} {
		w.a.Self.Prefixes = append(w.a.Self.Prefixes, acl.PrefixClass{Prefix: foreign.Host(), Class: classA})
	}
	w.apply()
	for _, c := range w.a.Self.Prefixes {
		src, dst := Address(c.Prefix.Addr().String()), B4
		if c.Prefix.Addr().Is6() {
			dst = B6
		}
		if src == A4 || src == A6 {
			w.passes("own source "+string(src), p.A, p.B, UDP(src, dst, 5000, 53))
			continue
		}
		w.refused("foreign source "+string(src), p.A, p.B, UDP(src, dst, 5000, 53))
	}
	w.refused("foreign destination", p.A, p.B, UDP(A4, Far4, 5000, 53))
}

func realProtocol(t *testing.T, p *Pair) {
	w := newWorld(t, p, open("r", service(acl.TCP, 443, 443)))
	for _, proto := range []acl.Protocol{4, 41, 47, 50, acl.UDP, acl.SCTP, 253} {
		w.refused("another protocol with the open port in its payload", p.A, p.B, Other(A4, B4, proto, 443))
		w.refused("another protocol with the open port in its payload", p.A, p.B, Other(A6, B6, proto, 443))
	}
	w.refused("no packet at all", p.A, p.B, []byte{0x45, 0, 0})
	w.refused("no packet at all", p.A, p.B, []byte("garbage that is no packet, and longer than any header of one"))
}

func fragments(t *testing.T, p *Pair) {
	w := newWorld(t, p, open("r", service(acl.UDP, 53, 53)))
	first, later := Fragments(A4, B4, 5000, 53)
	w.refused("a later fragment before its first", p.A, p.B, later)
	w.passes("a first fragment", p.A, p.B, first)
	w.passes("its later fragment", p.A, p.B, later)
	w.rule()
	w.refused("a later fragment after its right ended", p.A, p.B, later)
	first, later = Fragments(A4, B4, 5000, 54)
	w.rule(open("r", service(acl.UDP, 53, 53)))
	w.refused("a first fragment to another port", p.A, p.B, first)
	w.refused("its later fragment", p.A, p.B, later)
}

// A right that ended ends its live flows on their next packet, whoever sends it.
func revocation(t *testing.T, p *Pair) {
	all := []acl.Service{service(acl.UDP, 53, 53), service(acl.TCP, 443, 443)}
	for name, only := range map[string]func(*world){
		"at both ends":    func(w *world) { w.a.Rules, w.b.Rules = acl.RuleSet{}, acl.RuleSet{} },
		"at the receiver": func(w *world) { w.b.Rules = acl.RuleSet{} },
		"at the sender":   func(w *world) { w.a.Rules = acl.RuleSet{} },
	} {
		w := newWorld(t, p, open("r", all...))
		flow := func(check func(string, Node, Node, []byte)) {
			check("UDP "+name, p.A, p.B, UDP(A4, B4, 5000, 53))
			check("UDP answer "+name, p.B, p.A, UDP(B4, A4, 53, 5000))
			check("TCP "+name, p.A, p.B, TCP(A6, B6, 5000, 443, ACK))
			check("TCP answer "+name, p.B, p.A, TCP(B6, A6, 443, 5000, ACK))
			check("echo "+name, p.A, p.B, Echo(A4, B4, 3, false))
			check("echo answer "+name, p.B, p.A, Echo(B4, A4, 3, true))
		}
		w.passes("TCP SYN", p.A, p.B, TCP(A6, B6, 5000, 443, SYN))
		flow(w.passes)
		only(w)
		w.apply()
		p.Still() // of TCP the other end's stack may be made to speak
		flow(w.refused)
	}
}

func factsEnd(t *testing.T, p *Pair) {
	r := open("login", service(acl.UDP, 53, 53))
	r.Needs = []acl.Fact{"login"}
	w := newWorld(t, p, r)
	w.refused("without the fact", p.A, p.B, UDP(A4, B4, 5000, 53))
	facts := []acl.FactEnd{{Fact: "login", Until: p.Now().Add(time.Minute)}}
	w.a.Self.Facts, w.b.Peers[0].Facts = facts, facts
	w.apply()
	w.passes("with the fact", p.A, p.B, UDP(A4, B4, 5000, 53))
	p.Pass(59 * time.Second)
	w.passes("a second before its end", p.A, p.B, UDP(A4, B4, 5000, 53))
	p.Pass(2 * time.Second)
	w.refused("after its end", p.A, p.B, UDP(A4, B4, 5000, 53))
	w.refused("the answer after its end", p.B, p.A, UDP(B4, A4, 53, 5000))
}

func peerRemoved(t *testing.T, p *Pair) {
	w := newWorld(t, p, open("r", service(acl.UDP, 53, 53)))
	w.passes("before", p.A, p.B, UDP(A4, B4, 5000, 53))
	peers := w.b.Peers
	w.b.Peers = nil
	w.apply()
	w.refused("from a removed peer", p.A, p.B, UDP(A4, B4, 5000, 53))
	w.refused("to a removed peer", p.B, p.A, UDP(B4, A4, 53, 5000))
	if n := len(stats(t, p.B.Plane).Peers); n != 0 {
		t.Errorf("B still has %d peers", n)
	}
	w.b.Peers = peers
	w.apply()
	p.Pass(10 * time.Second) // A's old session must give way to a new handshake
	w.A.Send(UDP(A4, B4, 5001, 53))
	p.Pass(20 * time.Second)
	w.passes("after it came back", p.A, p.B, UDP(A4, B4, 5000, 53))
}

func peerRekeyed(t *testing.T, p *Pair) {
	w := newWorld(t, p, open("r", service(acl.UDP, 53, 53)))
	w.passes("with the first key", p.A, p.B, UDP(A4, B4, 5000, 53))
	next := key.NewTunnel()
	w.b.TunnelKey, w.a.Peers[0].TunnelKey = next, next.Public()
	w.apply()
	p.Pass(time.Second) // WireGuard takes two initiations of one moment for a replay
	w.passes("with the second key", p.A, p.B, UDP(A4, B4, 5000, 53))
	if peers := stats(t, p.A.Plane).Peers; len(peers) != 1 || peers[0].ID != "n-b" {
		t.Errorf("A has peers %v, want n-b alone", peers)
	}
}

// The virtual endpoint follows the id, not the key.
func peerRenamed(t *testing.T, p *Pair) {
	w := newWorld(t, p, open("r", service(acl.UDP, 53, 53)))
	w.a.Peers[0].ID = "n-nowhere"
	w.apply()
	w.refused("to a host that is not there", p.A, p.B, UDP(A4, B4, 5000, 53))
	p.Pass(time.Second)
	w.a.Peers[0].ID = "n-b"
	w.apply()
	w.passes("to the right host", p.A, p.B, UDP(A4, B4, 5000, 53))
}

// An inner source counts only while the map gives it to the peer whose key
// opened the packet.
func addressesOfAPeer(t *testing.T, p *Pair) {
	w := newWorld(t, p, open("r", service(acl.UDP, 53, 53)))
	w.passes("IPv6", p.A, p.B, UDP(A6, B6, 5000, 53))
	all := w.b.Peers[0].Allowed
	w.b.Peers[0].Allowed = all[:1]
	w.apply()
	w.passes("IPv4, which stays", p.A, p.B, UDP(A4, B4, 5000, 53))
	w.refused("IPv6, which was taken away", p.A, p.B, UDP(A6, B6, 5000, 53))
	w.b.Peers[0].Allowed = all
	w.apply()
	w.passes("IPv6, which is back", p.A, p.B, UDP(A6, B6, 5000, 53))
}

func sessionsOutliveChanges(t *testing.T, p *Pair) {
	w := newWorld(t, p, open("r", service(acl.UDP, 53, 53)))
	w.passes("before", p.A, p.B, UDP(A4, B4, 5000, 53))
	p.Pass(10 * time.Second) // both may have begun, and WireGuard settles that after 5 s
	before := stats(t, p.A.Plane).Peers[0].LastHandshake
	w.rule(open("r2", service(acl.UDP, 53, 54)))
	route := Address("10.7.0.9").Host()
	w.a.Peers[0].Allowed = append(w.a.Peers[0].Allowed, route)
	w.a.Peers[0].Prefixes = append(w.a.Peers[0].Prefixes, acl.PrefixClass{Prefix: route, Class: classB})
	w.apply()
	w.passes("after", p.A, p.B, UDP(A4, B4, 5000, 54))
	if after := stats(t, p.A.Plane).Peers[0].LastHandshake; before.IsZero() || !after.Equal(before) {
		t.Errorf("last handshake was %s, is %s: the session was made anew", before, after)
	}
}
