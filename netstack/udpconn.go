package netstack

import (
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/waiter"
)

// udpConn is a UDP socket of the stack. If it is connected, a refusal by the
// peer or a filter is the error of the next Read.
type udpConn struct {
	*gonet.UDPConn
	ep      tcpip.Endpoint
	wq      *waiter.Queue
	readBy  deadline
	refused <-chan refusal // nil if not connected
	forget  func()
	closed  atomic.Bool
}

func newUDPConn(wq *waiter.Queue, ep tcpip.Endpoint) *udpConn {
	return &udpConn{UDPConn: gonet.NewUDPConn(wq, ep), ep: ep, wq: wq}
}

func (c *udpConn) Read(b []byte) (int, error) {
	n, _, err := c.ReadFrom(b)
	return n, err
}

// ReadFrom reads one datagram; what does not fit in b is lost.
func (c *udpConn) ReadFrom(b []byte) (int, net.Addr, error) {
	n, from, err := c.read(b)
	if err == nil {
		return n, net.UDPAddrFromAddrPort(toNetip(from)), nil
	}
	if c.closed.Load() {
		err = net.ErrClosed
	}
	return 0, nil, &net.OpError{Op: "read", Net: "udp", Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: err}
}

func (c *udpConn) read(b []byte) (int, tcpip.FullAddress, error) {
	entry, ready := waiter.NewChannelEntry(waiter.ReadableEvents | waiter.EventErr | waiter.EventHUp)
	c.wq.EventRegister(&entry)
	defer c.wq.EventUnregister(&entry)
	for {
		expired := c.readBy.expired()
		select {
		case <-expired:
			return 0, tcpip.FullAddress{}, os.ErrDeadlineExceeded
		case why := <-c.refused:
			return 0, tcpip.FullAddress{}, why
		default:
		}
		w := tcpip.SliceWriter(b)
		res, terr := c.ep.Read(&w, tcpip.ReadOptions{NeedRemoteAddr: true})
		if terr == nil {
			return res.Count, res.RemoteAddr, nil
		}
		if _, wait := terr.(*tcpip.ErrWouldBlock); !wait {
			return 0, tcpip.FullAddress{}, sysError(terr)
		}
		select {
		case <-ready:
		case <-expired:
		case why := <-c.refused:
			return 0, tcpip.FullAddress{}, why
		}
	}
}

// SetReadDeadline ends reads that wait, and those to come, at t; the zero time
// lets them wait.
func (c *udpConn) SetReadDeadline(t time.Time) error {
	c.readBy.set(t)
	return nil
}

// SetDeadline sets both deadlines.
func (c *udpConn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

func (c *udpConn) Write(b []byte) (int, error) {
	n, err := c.UDPConn.Write(b)
	return n, c.translate(err)
}

// WriteTo sends one datagram; to must be a *net.UDPAddr.
func (c *udpConn) WriteTo(b []byte, to net.Addr) (int, error) {
	if _, ok := to.(*net.UDPAddr); !ok {
		return 0, &net.OpError{Op: "write", Net: "udp", Addr: to, Err: errors.New("the address is no *net.UDPAddr")}
	}
	n, err := c.UDPConn.WriteTo(b, to)
	return n, c.translate(err)
}

func (c *udpConn) translate(err error) error {
	if err != nil && c.closed.Load() {
		return net.ErrClosed
	}
	return fromAdapter(err)
}

// Close wakes whoever reads.
func (c *udpConn) Close() error {
	if c.closed.Swap(true) {
		return nil
	}
	if c.forget != nil {
		c.forget()
	}
	c.readBy.set(time.Time{})
	return c.UDPConn.Close()
}

// deadline is a moment that can be moved while others wait for it.
type deadline struct {
	mu    sync.Mutex
	timer *time.Timer
	ch    chan struct{} // closed when the moment has come
}

// expired returns a channel that is closed at the moment; ask again after waking.
func (d *deadline) expired() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ch == nil {
		d.ch = make(chan struct{})
	}
	return d.ch
}

// set moves the moment to t, also for those who already wait.
func (d *deadline) set(t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	select {
	case <-d.ch:
		d.ch = nil
	default:
	}
	if d.ch == nil {
		d.ch = make(chan struct{})
	}
	if t.IsZero() {
		return
	}
	ch := d.ch
	var timer *time.Timer
	timer = time.AfterFunc(time.Until(t), func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.timer == timer { // else it was moved meanwhile
			close(ch)
			d.timer = nil
		}
	})
	d.timer = timer
}
