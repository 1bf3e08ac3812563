package netstack

import (
	"io"
	"net"
	"sync/atomic"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/waiter"
)

// tcpConn is a TCP connection of the stack. It has CloseWrite and CloseRead, as
// a *net.TCPConn has, and Abort.
type tcpConn struct {
	*gonet.TCPConn
	ep     tcpip.Endpoint
	closed atomic.Bool
}

func newTCPConn(wq *waiter.Queue, ep tcpip.Endpoint) *tcpConn {
	return &tcpConn{TCPConn: gonet.NewTCPConn(wq, ep), ep: ep}
}

func (c *tcpConn) Read(b []byte) (int, error) {
	n, err := c.TCPConn.Read(b)
	return n, c.translate(err)
}

func (c *tcpConn) Write(b []byte) (int, error) {
	n, err := c.TCPConn.Write(b)
	return n, c.translate(err)
}

func (c *tcpConn) translate(err error) error {
	if err != nil && c.closed.Load() {
		return net.ErrClosed
	}
	if err == nil || err == io.EOF {
		return err
	}
	return fromAdapter(err)
}

func (c *tcpConn) CloseWrite() error {
	if err := c.TCPConn.CloseWrite(); err != nil {
		return fromAdapter(err)
	}
	return nil
}

// Close ends the connection in order: what was written is still delivered.
func (c *tcpConn) Close() error {
	if !c.closed.Swap(true) {
		c.ep.Close()
	}
	return nil
}

// Abort ends the connection with a reset, so that the other side learns at once
// that what it waits for will not come.
func (c *tcpConn) Abort() {
	if !c.closed.Swap(true) {
		c.ep.Abort()
		c.ep.Close()
	}
}
