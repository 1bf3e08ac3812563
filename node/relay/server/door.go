package server

import (
	"net"
	"net/http"
	"net/netip"
	"sync"
)

// door counts the connections of an HTTP server that were not taken over, from
// the accept on: TLS handshakes and half a request cost too. One too many ends
// before a byte of it was read.
type door struct {
	gate *gate

	mu   sync.Mutex
	from map[net.Conn]netip.Prefix // those that were let in
}

func newDoor(most, mostOf int) *door {
	return &door{gate: newGate(most, mostOf), from: make(map[net.Conn]netip.Prefix)}
}

// state is an http.Server's ConnState.
func (d *door) state(conn net.Conn, s http.ConnState) {
	switch s {
	case http.StateNew:
		at, err := netip.ParseAddrPort(conn.RemoteAddr().String())
		if err != nil || !d.gate.enter(sourceOf(at.Addr())) {
			conn.Close() // whoever serves it finds out
			return
		}
		d.mu.Lock()
		d.from[conn] = sourceOf(at.Addr())
		d.mu.Unlock()
	case http.StateClosed, http.StateHijacked:
		d.mu.Lock()
		from, entered := d.from[conn]
		delete(d.from, conn)
		d.mu.Unlock()
		if entered {
			d.gate.leave(from)
		}
	}
}
