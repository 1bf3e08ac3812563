package userspace

import (
	"bytes"
	"testing"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/acl/filter"
	"github.com/cordonmesh/cordon/coordinator/wire/key"
	"github.com/cordonmesh/cordon/node/internal/plane"
	"github.com/cordonmesh/cordon/node/internal/plane/planetest"
)

// fronted is a guard for gateway A, whose stock peer and node B may ask each other
// on UDP port 53. Both are in wireguard-go.
func fronted(t *testing.T, dev *script) *guard {
	t.Helper()
	f, err := filter.New(filter.Options{})
	if err != nil {
		t.Fatal(err)
	}
	g := newGuard(dev, f, func() filter.Moment { return filter.Moment{} })
	k, node := key.NewTunnel(), key.NewTunnel()
	classed := func(a planetest.Address) []acl.PrefixClass { return []acl.PrefixClass{{Prefix: a.Host(), Class: 1}} }
	rules := []acl.Rule{{ID: "r", Src: []acl.Class{1}, Dst: []acl.Class{1}, Open: []acl.Service{{Protocol: acl.UDP, First: 53, Last: 53}}}}
	cfg := &plane.Config{Revision: 1, Mesh: planetest.Ranges(), Rules: acl.RuleSet{In: rules, Out: rules}, Self: plane.Self{Prefixes: classed(planetest.A4)},
		Peers: []plane.Peer{{ID: "n-b", TunnelKey: node.Public(), Prefixes: classed(planetest.B4)},
			{ID: "stock:s", TunnelKey: k.Public(), Prefixes: classed("10.99.0.2"), Stock: &plane.Stock{}}}}
	table, err := compile(cfg)
	if err != nil {
		t.Fatal(err)
	}
	f.Load(table)
	next, _ := g.roster.Load().enrol(cfg.Peers)
	for _, m := range next.byID {
		m.in.Store(true)
	}
	g.roster.Store(next)
	return g
}

// What goes on from one peer to another costs no memory once its buffer is there,
// and waits in bounded number, in its order.
func TestOnwardIsBoundedAndAllocatesNothing(t *testing.T) {
	dev := &script{}
	g := fronted(t, dev)
	bufs, sizes := buffers(4)
	packet := func(port int) []byte {
		return append(make([]byte, offset), planetest.UDP("10.99.0.2", planetest.B4, uint16(port), 53)...)
	}
	first, batch := packet(1), make([][]byte, 1)
	round := func() {
		batch[0] = first
		if n, err := g.Write(batch, offset); n != 0 || err != nil {
			t.Fatalf("the machine was given %d, %v", n, err)
		}
		if n, err := g.Read(bufs, sizes, offset); n != 1 || err != nil || !bytes.Equal(bufs[0][offset:offset+sizes[0]], first[offset:]) {
			t.Fatalf("%d packets go on, %v", n, err)
		}
		g.out.leave(1)
	}
	for range onwardSize {
		round() // every buffer has its size
	}
	if n := testing.AllocsPerRun(1000, round); n != 0 {
		t.Errorf("%v allocations for each packet", n)
	}
	for i := range onwardSize + 10 {
		if _, err := g.Write([][]byte{packet(1000 + i)}, offset); err != nil {
			t.Fatal(err)
		}
	}
	woken := dev.woken.Load()
	for i := 0; i < onwardSize; {
		n, err := g.Read(bufs, sizes, offset)
		if n == 0 || err != nil {
			t.Fatalf("after %d packets %v", i, err)
		}
		g.out.leave(n)
		for _, b := range bufs[:n] {
			if want := packet(1000 + i); !bytes.Equal(b[offset:offset+sizes[0]], want[offset:]) {
				t.Fatalf("packet %d is another", i)
			}
			i++
		}
	}
	if n, _ := g.Read(bufs, sizes, offset); n != 0 {
		t.Errorf("%d packets more than there is room for", n)
	}
	if dev.woken.Load() == woken {
		t.Error("a batch that was full did not ask for the next one")
	}
}
