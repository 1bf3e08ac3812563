//go:build linux

package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"time"

	"github.com/cordonmesh/cordon/integration/lab"
)

// Ports inside the tunnels.
const (
	sinkPort = 5201 // TCP, swallowed
	echoPort = 5202 // UDP, sent back
)

// moved is what a tunnel carried in a stretch of time.
type moved struct {
	bytes     int64
	wall, cpu time.Duration // cpu: of the programs that carry it
}

func (m moved) gigabits() float64 { return float64(m.bytes) * 8 / float64(m.wall.Nanoseconds()) }

// cpuPerGigabyte is in seconds.
func (m moved) cpuPerGigabyte() float64 { return m.cpu.Seconds() / (float64(m.bytes) / 1e9) }

// move sends over TCP streams as fast as they take it and measures, after a
// moment in which they come up to speed, what arrives: for the given time, or
// until the given bytes are over.
func (k link) move(t lab.T, sink *lab.Sink, streams int, length time.Duration, bytes int64) (m moved, err error) {
	var g group
	defer g.wait()
	for range streams {
		conn, err := k.from.Dial(t.Context(), "tcp", netip.AddrPortFrom(k.at, k.port))
		if err != nil {
			return m, fmt.Errorf("stream from %s to %s: %w", k.from.Name, k.to.Name, err)
		}
		defer conn.Close() // ends its writer
		g.start(func() {
			block := make([]byte, 256<<10)
			for {
				if _, err := conn.Write(block); err != nil {
					return
				}
			}
		})
	}
	time.Sleep(300 * time.Millisecond)
	used, err := k.cpu()
	if err != nil {
		return m, err
	}
	begin, before := time.Now(), sink.Received()
	for time.Since(begin) < length && sink.Received()-before < bytes {
		time.Sleep(10 * time.Millisecond)
	}
	m.wall, m.bytes = time.Since(begin), sink.Received()-before
	now, err := k.cpu()
	m.cpu = now - used
	if err == nil && m.bytes == 0 {
		err = fmt.Errorf("nothing arrived from %s at %s in %s", k.from.Name, k.to.Name, length)
	}
	return m, err
}

// errLost: the echo did not come.
var errLost = errors.New("no answer")

// roundTrips sends one small datagram at a time and gives what each took, in
// microseconds.
func (k link) roundTrips(t lab.T, count int) (took samples, err error) {
	conn, err := k.from.Dial(t.Context(), "udp", netip.AddrPortFrom(k.at, echoPort))
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	buf := make([]byte, 64)
	for lost := 0; len(took) < count; {
		begin := time.Now()
		if err := roundTrip(conn, buf); errors.Is(err, errLost) && lost < 10 {
			lost++
			continue
		} else if err != nil {
			return took, err
		}
		took.add(float64(time.Since(begin)) / float64(time.Microsecond))
	}
	return took, nil
}

func roundTrip(conn net.Conn, buf []byte) error {
	if _, err := conn.Write(buf); err != nil {
		return err
	}
	if err := conn.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
		return err
	}
	_, err := conn.Read(buf)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return errLost
	}
	return err
}

// exchange keeps a fixed number of small datagrams under way, each sent when
// another came back, and gives how many came back in a second. An open loop
// would measure how well an overloaded machine drops.
func (k link) exchange(t lab.T, length time.Duration) (rate float64, err error) {
	const underWay = 128
	conn, err := k.from.Dial(t.Context(), "udp", netip.AddrPortFrom(k.at, echoPort))
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	var g group
	defer g.wait()
	defer conn.Close()
	var back, stopped atomic.Int64
	tokens := make(chan struct{}, underWay)
	for range underWay {
		tokens <- struct{}{}
	}
	g.start(func() { // what comes back makes room for another
		buf := make([]byte, 64)
		for stopped.Load() == 0 {
			_ = conn.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
			if _, err := conn.Read(buf); err == nil {
				back.Add(1)
			} else if !errors.Is(err, os.ErrDeadlineExceeded) {
				continue
			}
			select {
			case tokens <- struct{}{}: // after a silence too: that one is lost
			default:
			}
		}
		close(tokens)
	})
	begin := time.Now()
	block := make([]byte, 64)
	for range tokens {
		if time.Since(begin) > length {
			stopped.Store(1)
			break
		}
		if _, err := conn.Write(block); err != nil {
			stopped.Store(1)
			return 0, err
		}
	}
	return float64(back.Load()) / time.Since(begin).Seconds(), nil
}
