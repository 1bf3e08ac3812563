// Package backlog keeps the kernel from holding for a slow reader what a queue of
// ours would have dropped: seconds of old datagrams, which then arrive before the
// new ones.
package backlog

import (
	"crypto/tls"
	"net"
)

// Bound bounds what waits in the kernel for conn, where there is a TCP connection
// beneath it and the system knows how. Elsewhere it does nothing.
func Bound(conn net.Conn) {
	if secured, ok := conn.(*tls.Conn); ok {
		conn = secured.NetConn()
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		bound(tcp)
	}
}
