package server

import (
	"net/netip"
	"sync"
)

// gate counts strangers, in all and by source. An IPv6 network of 64 bits is one
// source: every machine in it has as many addresses as it likes.
type gate struct {
	most, mostOf int

	mu  sync.Mutex
	all int
	of  map[netip.Prefix]int
}

func newGate(most, mostOf int) *gate {
	return &gate{most: most, mostOf: mostOf, of: make(map[netip.Prefix]int)}
}

// enter lets one in from a source, or not.
func (g *gate) enter(from netip.Prefix) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.all >= g.most || g.of[from] >= g.mostOf {
		return false
	}
	g.all++
	g.of[from]++
	return true
}

// leave undoes one enter.
func (g *gate) leave(from netip.Prefix) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.all--
	if g.of[from]--; g.of[from] == 0 {
		delete(g.of, from)
	}
}

// sourceOf gives whom an address counts to.
func sourceOf(a netip.Addr) netip.Prefix {
	a = a.Unmap().WithZone("")
	bits := a.BitLen()
	if a.Is6() {
		bits = 64
	}
	p, _ := a.Prefix(bits)
	return p
}
