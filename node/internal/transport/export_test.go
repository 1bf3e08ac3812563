package transport

import (
	"net"

	"golang.zx2c4.com/wireguard/conn"
)

// NewDefaultBind is newDefaultBind.
func NewDefaultBind() conn.Bind { return newDefaultBind() }

// SocketsOf gives the sockets of a default bind, IPv4 first.
func SocketsOf(b conn.Bind) (sockets []*net.UDPConn) {
	f := b.(*families)
	for i := range f.sockets {
		sockets = append(sockets, f.sockets[i].Load())
	}
	return sockets
}

// WithSurplus gives a batch's surplus to the next call.
var WithSurplus = withSurplus
