package coordinator

import (
	"net"
	"net/http"
	"net/netip"
	"sync"
)

// maxPerAddress is how many connections one address may hold: more than there
// are nodes behind one hospital's router or balancer, and few enough that a single
// stranger cannot take all of the process's files and memory.
const maxPerAddress = 16 << 10

// connections counts the connections of each address. An IPv6 network of 64 bits
// counts as one address, since every machine in it has as many as it likes. This
// machine's own programs are not counted: they are no strangers.
type connections struct {
	most int

	mu sync.Mutex
	of map[netip.Prefix]int
}

func newConnections(most int) *connections {
	return &connections{most: most, of: map[netip.Prefix]int{}}
}

// state is an http.Server's ConnState. It ends a connection too many before a
// byte of it was read.
func (c *connections) state(conn net.Conn, s http.ConnState) {
	at, err := netip.ParseAddrPort(conn.RemoteAddr().String())
	if err != nil || at.Addr().Unmap().IsLoopback() {
		return
	}
	from := sourceOf(at.Addr().Unmap())
	c.mu.Lock()
	defer c.mu.Unlock()
	switch s {
	case http.StateNew:
		if c.of[from]++; c.of[from] > c.most {
			conn.Close() // whoever serves it finds out, and tells StateClosed
		}
	case http.StateClosed, http.StateHijacked:
		if c.of[from]--; c.of[from] <= 0 {
			delete(c.of, from)
		}
	}
}

func sourceOf(a netip.Addr) netip.Prefix {
	bits := a.BitLen()
	if a.Is6() {
		bits = 64
	}
	p, _ := a.WithZone("").Prefix(bits)
	return p
}
