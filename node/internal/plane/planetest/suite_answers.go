package planetest

import (
	"encoding/binary"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/coordinator/wire/key"
	"github.com/cordonmesh/cordon/node/internal/plane"
)

// The sender's user learns of a refusal at once.
func refusalsAnswered(t *testing.T, p *Pair) {
	w := newWorld(t, p, open("r", service(acl.UDP, 53, 53)))
	for _, f := range []struct {
		name string
		a, b Address
	}{{"IPv4", A4, B4}, {"IPv6", A6, B6}} {
		syn := w.answer(p.A, TCP(f.a, f.b, 5000, 443, SYN))
		if flags, seq, ack := segment(syn, f.b, f.a); flags != RST|ACK || seq != 0 || ack != 1001 {
			t.Errorf("%s SYN: answered %x, want a reset that acknowledges 1001", f.name, syn)
		}
		data := w.answer(p.A, TCP(f.a, f.b, 5000, 443, ACK))
		if flags, seq, _ := segment(data, f.b, f.a); flags != RST || seq != 2000 {
			t.Errorf("%s segment: answered %x, want a reset at 2000", f.name, data)
		}
		datagram := UDP(f.a, f.b, 5000, 54)
		if got, want := message(w.answer(p.A, datagram), f.b, f.a, datagram), prohibited(f.a); got != want {
			t.Errorf("%s UDP: answered %s, want %s", f.name, got, want)
		}
		if got := w.answer(p.A, TCP(f.a, f.b, 5000, 443, RST)); got != nil {
			t.Errorf("%s reset: answered %x", f.name, got)
		}
	}
	refusals := stats(t, p.A.Plane).Refusals
	if len(refusals) == 0 {
		t.Fatal("the sender's status names no refusal")
	}
	first := refusals[0]
	if first.Direction != plane.Out || first.Peer != "b" || first.Verdict != (acl.Verdict{Reason: acl.NoRule}) ||
		first.Protocol != acl.TCP || first.Dst.Port() != 443 || first.Count < 2 {
		t.Errorf("the sender's status names %+v first, want the outbound TCP to b", first)
	}
}

// So too if only the receiver knows that it refuses, such as a gateway whose own
// address lies in a network that the sender may reach: it answers through the
// tunnel, and the sender takes that for a part of the flow that it began.
func peersAnswered(t *testing.T, p *Pair) {
	w := newWorld(t, p)
	w.a.Rules.Out = []acl.Rule{open("wide", service(acl.TCP, 0, 65535), service(acl.UDP, 0, 65535))}
	w.b.Rules.In = []acl.Rule{open("narrow", service(acl.TCP, 443, 443), service(acl.UDP, 53, 53))}
	w.apply()
	for _, f := range []struct {
		name string
		a, b Address
	}{{"IPv4", A4, B4}, {"IPv6", A6, B6}} {
		syn := w.answer(p.A, TCP(f.a, f.b, 5000, 22, SYN))
		if flags, seq, ack := segment(syn, f.b, f.a); flags != RST|ACK || seq != 0 || ack != 1001 {
			t.Errorf("%s SYN: answered %x, want a reset that acknowledges 1001\n%s", f.name, syn, w.draw())
		}
		datagram := UDP(f.a, f.b, 5000, 54)
		if got, want := message(w.answer(p.A, datagram), f.b, f.a, datagram), prohibited(f.a); got != want {
			t.Errorf("%s UDP: answered %s, want %s\n%s", f.name, got, want, w.draw())
		}
		if got := w.answer(p.A, TCP(f.a, f.b, 5000, 23, RST)); got != nil {
			t.Errorf("%s reset: answered %x", f.name, got)
		}
		w.passes(f.name+" a permitted one", p.A, p.B, UDP(f.a, f.b, 5000, 53))
	}
	p.B.Drain()
	p.A.Send(UDP(A4, B4, 5001, 54), UDP(A4, B4, 5001, 53), TCP(A4, B4, 5001, 22, SYN))
	p.Still()
	if got := len(p.A.Drain()); got != 2 || len(p.B.Drain()) != 1 {
		t.Errorf("%d answers to a batch with two refusals and one permitted packet", got)
	}
}

// So too for an address that nobody owns, which a plane knows from the map alone.
// UDP gets the one message that a plain UDP socket is told of.
func addressesOfNobody(t *testing.T, p *Pair) {
	w := newWorld(t, p, open("r", service(acl.UDP, 0, 65535)))
	for _, c := range []struct {
		packet   []byte
		dst, src Address
		want     string
	}{
		{TCP(A4, Nobody4, 5000, 443, SYN), Nobody4, A4, "icmp 3/1"},
		{TCP(A6, Nobody6, 5000, 443, SYN), Nobody6, A6, "icmp 1/0"},
		{Echo(A4, Nobody4, 5, false), Nobody4, A4, "icmp 3/1"},
		{Echo(A6, Nobody6, 5, false), Nobody6, A6, "icmp 1/0"},
		{UDP(A4, Nobody4, 5000, 53), Nobody4, A4, "icmp 3/13"},
		{UDP(A6, Nobody6, 5000, 53), Nobody6, A6, "icmp 1/1"},
	} {
		if got := message(w.answer(p.A, c.packet), c.dst, c.src, c.packet); got != c.want {
			t.Errorf("%x: answered %q, want %q", c.packet, got, c.want)
		}
	}
	if n := count(t, p.A.Plane, acl.UnknownPeer); n != 6 {
		t.Errorf("counted %d packets to nobody, want 6", n)
	}
}

// answer sends a packet and gives what its sender gets back, nil if nothing.
func (w *world) answer(from Node, packet []byte) []byte {
	w.t.Helper()
	switch got := w.cross(from, from, packet); len(got) {
	case 0:
		return nil
	case 1:
		return got[0]
	default:
		w.t.Errorf("%d answers to one packet", len(got))
		return got[0]
	}
}

// segment gives what matters of a TCP segment between two addresses.
func segment(b []byte, src, dst Address) (flags byte, seq, ack uint32) {
	body := payload(b, src, dst, acl.TCP)
	if len(body) < 20 {
		return 0, 0, 0
	}
	return body[13], binary.BigEndian.Uint32(body[4:]), binary.BigEndian.Uint32(body[8:])
}

// message gives type and code of an ICMP error that quotes the packet.
func message(b []byte, src, dst Address, quoted []byte) string {
	proto := acl.ICMP
	if src.IP().Is6() {
		proto = acl.ICMPv6
	}
	body := payload(b, src, dst, proto)
	if len(body) < 8 || !strings.HasPrefix(string(quoted), string(body[8:])) || len(body) < 8+28 {
		return "no message about it"
	}
	return "icmp " + string('0'+body[0]) + "/" + decimal(body[1])
}

func prohibited(a Address) string {
	if a.IP().Is6() {
		return "icmp 1/1"
	}
	return "icmp 3/13"
}

func decimal(n byte) string {
	if n > 9 {
		return string('0'+n/10) + string('0'+n%10)
	}
	return string('0' + n)
}

// payload is what follows the IP header if that and the checksum are right.
func payload(b []byte, src, dst Address, proto acl.Protocol) []byte {
	want := packet(src, dst, proto, make([]byte, 1), -1)
	head := len(want) - 1
	if len(b) < head || b[0]>>4 != want[0]>>4 {
		return nil
	}
	addresses := head - len(src.IP().AsSlice())*2
	if string(b[addresses:head]) != string(want[addresses:head]) {
		return nil
	}
	if head == 20 && (b[9] != byte(proto) || fold(b[:head], 0) != 0xffff) || head == 40 && b[6] != byte(proto) {
		return nil
	}
	body, start := b[head:], uint32(0)
	if proto != acl.ICMP {
		start = pseudo(src.IP(), dst.IP(), proto, len(b)-head)
	}
	if fold(body, start) != 0xffff {
		return nil
	}
	return body
}

// A configuration that cannot be carried out leaves nothing open.
func badConfigurationDenies(t *testing.T, p *Pair) {
	w := newWorld(t, p, open("r", service(acl.UDP, 53, 53)))
	w.passes("before", p.A, p.B, UDP(A4, B4, 5000, 53))
	bad := w.a
	second := w.a.Peers[0]
	second.ID, second.TunnelKey = "n-c", freshKey()
	bad.Peers = []plane.Peer{w.a.Peers[0], second}
	if err := p.A.Plane.Configure(t.Context(), bad); err == nil {
		t.Fatal("two peers that speak for one address were accepted")
	}
	w.refused("after a bad configuration", p.A, p.B, UDP(A4, B4, 5000, 53))
	w.refused("inbound after a bad configuration", p.B, p.A, UDP(B4, A4, 53, 5000))
	w.apply()
	w.passes("after a good one again", p.A, p.B, UDP(A4, B4, 5000, 53))
}

func explains(t *testing.T, p *Pair) {
	newWorld(t, p, open("dns", service(acl.UDP, 53, 53)))
	for _, c := range []struct {
		p    plane.Plane
		q    plane.Question
		want acl.Verdict
	}{
		{p.A.Plane, question(plane.Out, A4, B4, acl.UDP, 53), acl.Verdict{Allow: true, Reason: acl.Permitted, Rule: "dns"}},
		{p.B.Plane, question(plane.In, A6, B6, acl.UDP, 53), acl.Verdict{Allow: true, Reason: acl.Permitted, Rule: "dns"}},
		{p.A.Plane, question(plane.Out, A4, B4, acl.UDP, 54), acl.Verdict{Reason: acl.NoRule}},
		{p.A.Plane, question(plane.Out, A4, Nobody4, acl.UDP, 53), acl.Verdict{Reason: acl.UnknownPeer}},
	} {
		if got, _ := c.p.Explain(c.q); got != c.want {
			t.Errorf("%+v: %+v, want %+v", c.q, got, c.want)
		}
		if n := stats(t, c.p).Flows; n != 0 {
			t.Errorf("explaining left %d flows", n)
		}
	}
}

func closes(t *testing.T, p *Pair) {
	w := newWorld(t, p, open("r", service(acl.UDP, 53, 53)))
	w.passes("before", p.A, p.B, UDP(A4, B4, 5000, 53))
	for range 2 {
		if err := p.A.Plane.Close(); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case <-p.A.Plane.Done():
	default:
		t.Error("Done is open after Close")
	}
	if err := p.A.Plane.Err(); err != nil {
		t.Errorf("after Close Err is %v, want nil", err)
	}
	if err := p.A.Plane.Configure(t.Context(), w.a); err == nil || errors.Is(err, t.Context().Err()) {
		t.Errorf("Configure after Close gave %v, want an error that says so", err)
	}
	w.refused("to a closed plane", p.B, p.A, UDP(B4, A4, 53, 5000))
}

func freshKey() key.TunnelPublic {
	k := key.NewTunnel()
	return k.Public()
}

func question(d plane.Direction, src, dst Address, proto acl.Protocol, port uint16) plane.Question {
	return plane.Question{Direction: d, Src: src.IP(), Dst: dst.IP(), Protocol: proto, Port: port}
}

func stats(t *testing.T, p plane.Plane) plane.Stats {
	t.Helper()
	s, err := p.Stats()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func count(t *testing.T, p plane.Plane, r acl.Reason) uint64 {
	t.Helper()
	n := stats(t, p).Verdicts[r]
	return n[plane.In] + n[plane.Out]
}

// A program that only listens hears of its connection's end too: at both ends
// the stack is made to speak, and what it says is answered by a reset in the one
// place of the sequence that it believes.
func listenersTold(t *testing.T, p *Pair) {
	w := newWorld(t, p, open("r", service(acl.TCP, 443, 443), service(acl.UDP, 53, 53)))
	w.passes("SYN", p.A, p.B, TCP(A6, B6, 5000, 443, SYN))
	w.passes("its answer", p.B, p.A, TCP(B6, A6, 443, 5000, SYN|ACK))
	w.passes("UDP", p.A, p.B, UDP(A4, B4, 5000, 53))
	p.A.Drain()
	p.B.Drain()
	w.a.Peers, w.a.Rules, w.b.Rules = nil, acl.RuleSet{}, acl.RuleSet{}
	w.apply()
	p.Still()
	for _, end := range []struct {
		name     string
		node     Node
		src, dst Address
		says     []byte
	}{
		{"A", p.A, B6, A6, TCP(A6, B6, 5000, 443, ACK)},
		{"B", p.B, A6, B6, TCP(B6, A6, 443, 5000, ACK)},
	} {
		got := end.node.Drain()
		if len(got) != 1 {
			t.Errorf("%s: its stack got %d packets, want one nudge for the connection", end.name, len(got))
			continue
		}
		if flags, _, _ := segment(got[0], end.src, end.dst); flags != ACK {
			t.Errorf("%s: its stack got %x, want an ACK that it must answer", end.name, got[0])
		}
		if flags, seq, _ := segment(w.answer(end.node, end.says), end.src, end.dst); flags != RST || seq != 2000 {
			t.Errorf("%s: what its stack says is not answered by a reset at 2000", end.name)
		}
	}
	w.apply()
	p.Still()
	if got := p.B.Drain(); len(got) != 0 {
		t.Errorf("B: told again of what it knows: %x", got)
	}
}

// So too if only the node that began the connection knows that its right is gone, also
// when its tunnel rests: the other stack is made to speak there, once, and hears what
// became of that.
func unknowingTold(t *testing.T, p *Pair) {
	w := newWorld(t, p, open("r", service(acl.TCP, 443, 443)))
	for _, silence := range []time.Duration{0, time.Hour} {
		w.rule(w.b.Rules.In...)
		w.passes("SYN", p.A, p.B, TCP(A6, B6, 5000, 443, SYN))
		w.passes("its answer", p.B, p.A, TCP(B6, A6, 443, 5000, SYN|ACK))
		w.passes("the last that is said", p.A, p.B, TCP(A6, B6, 5000, 443, ACK))
		p.Pass(silence)
		p.B.Drain()
		w.a.Rules = acl.RuleSet{}
		w.apply()
		p.Still()
		got := p.B.Drain()
		if len(got) != 1 {
			t.Fatalf("B's stack got %d packets after a silence of %s, want a nudge for the connection", len(got), silence)
		}
		if flags, _, _ := segment(got[0], A6, B6); flags != ACK {
			t.Errorf("B's stack got %x, want an ACK that it must answer", got[0])
		}
		if flags, seq, _ := segment(w.answer(p.B, TCP(B6, A6, 443, 5000, ACK)), A6, B6); flags != RST || seq != 2000 {
			t.Error("what B's stack says is not answered by a reset at 2000")
		}
		w.apply()
		p.Still()
		if got := p.B.Drain(); len(got) != 0 {
			t.Errorf("B is told again of what it knows: %x", got)
		}
	}
}
