package server_test

import (
	"fmt"
	"io"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/coordinator/wire/key"
	"github.com/cordonmesh/cordon/node/relay"
	"github.com/cordonmesh/cordon/node/relay/relaytest"
)

func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkForward sends datagrams between pairs as fast as they arrive: a batch in
// each write, as a client does it, and a window as a transport above would have.
// cpu-ns/frame is of sender, relay and receiver together: TLS at all four ends of
// the two connections. Use -benchtime=300000x or more.
func BenchmarkForward(b *testing.B) {
	for _, pairs := range []int{1, 10} {
		for _, size := range []int{100, 1280} {
			b.Run(fmt.Sprintf("pairs=%d/size=%d", pairs, size), func(b *testing.B) { forward(b, pairs, size) })
		}
	}
}

const window = 192 << 10

// flow is one sender and one receiver.
type flow struct {
	from, to io.ReadWriteCloser
	batch    []byte
	sent     int64
	arrived  chan int64 // how much is received by now
}

func newFlow(b *testing.B, m *relaytest.Mesh, d *relay.Dialer, size int) *flow {
	from, _ := admitted(b, m, d)
	to, at := admitted(b, m, d)
	f := &flow{from: from, to: to, arrived: make(chan int64, 1)}
	one := relay.Append(nil, relay.TypeSend, at.Bytes(), make([]byte, size))
	for len(f.batch)+len(one) <= 16<<10 {
		f.batch = append(f.batch, one...)
	}
	return f
}

// send sends all bytes, and waits until they have arrived.
func (f *flow) send(all int64) {
	arrived := int64(0)
	for arrived < all {
		for f.sent < all && f.sent-arrived < window {
			f.from.Write(f.batch)
			f.sent += int64(len(f.batch))
		}
		arrived = <-f.arrived
	}
}

func (f *flow) receive() {
	buf, sum := make([]byte, 64<<10), int64(0)
	for {
		n, err := f.to.Read(buf)
		if err != nil {
			return
		}
		sum += int64(n)
		select {
		case <-f.arrived:
		default:
		}
		f.arrived <- sum
	}
}

func forward(b *testing.B, pairs, size int) {
	m, s, h := load(b)
	var flows []*flow
	var receivers, senders sync.WaitGroup
	for range pairs {
		f := newFlow(b, m, h.Dialer(), size)
		flows = append(flows, f)
		receivers.Go(f.receive)
	}
	frame := int64(relay.HeaderSize + key.Size + size)
	began, used := time.Now(), cpu(b)
	for _, f := range flows {
		senders.Go(func() { f.send((int64(b.N/pairs) + 1) * frame) })
	}
	senders.Wait()
	took, spent := time.Since(began), cpu(b)-used
	frames := float64(s.Stats().Frames)
	b.ReportMetric(frames/took.Seconds(), "frames/s")
	b.ReportMetric(frames*float64(size)*8/took.Seconds()/1e9, "Gbit/s")
	b.ReportMetric(float64(spent.Nanoseconds())/frames, "cpu-ns/frame")
	b.ReportMetric(frames*float64(size)*8/spent.Seconds()/1e9, "Gbit/s/core")
	b.ReportMetric(float64(s.Stats().Dropped), "dropped")
	for _, f := range flows {
		f.from.Close()
		f.to.Close()
	}
	receivers.Wait()
}
