package dns

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"
)

const (
	maxConns = 32               // over TCP, at one time
	idle     = 10 * time.Second // for which a TCP connection may say nothing
)

// door answers on one address, over UDP and TCP.
type door struct {
	responder *Responder
	at        netip.AddrPort
	udp       *net.UDPConn
	tcp       *net.TCPListener
	log       *slog.Logger

	cancel  context.CancelFunc
	running sync.WaitGroup
}

// open takes the port of an address, also of one that the machine has not got
// yet or loses for a moment, and answers until close.
func open(r *Responder, at netip.AddrPort, log *slog.Logger) (*door, error) {
	d := &door{responder: r, at: at, log: log}
	listen := net.ListenConfig{Control: early}
	ctx, cancel := context.WithCancel(context.Background())
	d.cancel = cancel
	packets, err := listen.ListenPacket(ctx, "udp", at.String())
	if err != nil {
		cancel()
		return nil, taken(at, err)
	}
	d.udp = packets.(*net.UDPConn)
	streams, err := listen.Listen(ctx, "tcp", at.String())
	if err != nil {
		cancel()
		return nil, errors.Join(taken(at, err), d.udp.Close())
	}
	d.tcp = streams.(*net.TCPListener)
	d.running.Go(func() { d.answerPackets(ctx) })
	d.running.Go(func() { d.answerStreams(ctx) })
	return d, nil
}

func taken(where netip.AddrPort, err error) error {
	return fmt.Errorf("listening at %s: %w: is another name server there, or one that listens on all addresses", where, err)
}

// close ends all that open began, and waits for it.
func (d *door) close() {
	d.cancel()
	d.udp.Close()
	d.tcp.Close()
	d.running.Wait()
}

// here tells whether a packet is this machine's own. Nobody else has the address
// of the door, and if somebody pretends to, the answer goes to us.
func (d *door) here(src netip.AddrPort) bool {
	a := src.Addr().Unmap()
	return a == d.at.Addr() || a.IsLoopback()
}

// answerPackets answers at once what this machine knows, so that names of the
// mesh never wait behind resolvers that do not answer.
func (d *door) answerPackets(ctx context.Context) {
	buf := make([]byte, maxQuery+1) // one more than we take
	for {
		n, src, err := d.udp.ReadFromUDPAddrPort(buf)
		if err != nil {
			if !goesOn(ctx, err) {
				return
			}
			continue
		}
		if !d.here(src) {
			continue
		}
		answer, later := d.responder.begin(buf[:n], false)
		if later == nil {
			d.send(answer, src)
			continue
		}
		d.running.Go(func() { d.send(later(ctx), src) })
	}
}

// goesOn waits a moment after an error that may pass, such as no more files.
func goesOn(ctx context.Context, err error) bool {
	if errors.Is(err, net.ErrClosed) {
		return false
	}
	select {
	case <-ctx.Done():
		return false
	case <-time.After(10 * time.Millisecond):
		return true
	}
}

func (d *door) send(answer []byte, to netip.AddrPort) {
	if len(answer) > 0 {
		if _, err := d.udp.WriteToUDPAddrPort(answer, to); err != nil {
			d.log.Debug("answering a name failed", "to", to, "error", err)
		}
	}
}

func (d *door) answerStreams(ctx context.Context) {
	slots := make(chan struct{}, maxConns)
	for {
		conn, err := d.tcp.Accept()
		if err != nil {
			if !goesOn(ctx, err) {
				return
			}
			continue
		}
		src, _ := netip.ParseAddrPort(conn.RemoteAddr().String())
		select {
		case slots <- struct{}{}:
			if d.here(src) {
				d.running.Go(func() {
					defer func() { <-slots }()
					d.answerStream(ctx, conn)
				})
				continue
			}
			<-slots
		default:
		}
		conn.Close()
	}
}

// answerStream answers one question after the other (RFC 7766).
func (d *door) answerStream(ctx context.Context, conn net.Conn) {
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	for {
		conn.SetDeadline(time.Now().Add(idle))
		var size [2]byte
		if _, err := io.ReadFull(conn, size[:]); err != nil {
			return
		}
		n := binary.BigEndian.Uint16(size[:])
		if n > maxQuery {
			return
		}
		query := make([]byte, n)
		if _, err := io.ReadFull(conn, query); err != nil {
			return
		}
		answer := d.responder.Handle(ctx, query, true)
		if answer == nil {
			return
		}
		conn.SetDeadline(time.Now().Add(idle))
		if _, err := conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...)); err != nil {
			return
		}
	}
}
