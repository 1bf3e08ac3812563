package integration

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/ipv4"
)

// The flood: each of four ports gives the kernel a burst at a time. 20,000 a second
// are more than two cores could answer, at a tenth of a millisecond of curve
// arithmetic each; many more, and it would be the sender that takes the processors
// from the service, on a machine that plays both.
const (
	floodPorts = 4
	burst      = 64
	pause      = floodPorts * burst * time.Second / 20_000
)

// questions are asked by UDP under the flood, each once: some of what arrives is
// lost where the kernel's queue is full of the flood.
const questions = 20

// answeredOf counts those of ward's questions that are answered.
func (f *flooded) answeredOf(to netip.AddrPort, n int) (count int) {
	for range n {
		ctx, cancel := context.WithTimeout(f.t.Context(), 300*time.Millisecond)
		if f.exchange(ctx, "ward", "udp", to) == nil {
			count++
		}
		cancel()
	}
	return count
}

// initiations sends overheard initiations, the dearest that somebody without a key
// can send, from several ports until it is ended. It gives how many a second.
func (f *flooded) initiations(t *testing.T, one []byte) (end func() float64) {
	t.Helper()
	var sent atomic.Int64
	var work sync.WaitGroup
	stop := make(chan struct{})
	began := time.Now()
	target := net.UDPAddrFromAddrPort(f.to)
	for i := range floodPorts {
		conn := f.Host("outsider").ListenUDP(netip.AddrPortFrom(f.Host("outsider").Addr4(), uint16(4000+i)))
		work.Go(func() {
			out := ipv4.NewPacketConn(conn)
			batch := make([]ipv4.Message, burst)
			for i := range batch {
				batch[i] = ipv4.Message{Buffers: [][]byte{one}, Addr: target}
			}
			tick := time.NewTicker(pause)
			defer tick.Stop()
			for {
				select {
				case <-stop:
					return
				case <-tick.C:
				}
				// What its queue has no room for is not sent.
				if n, err := out.WriteBatch(batch, 0); err == nil || n > 0 {
					sent.Add(int64(n))
				}
			}
		})
	}
	return func() float64 {
		close(stop)
		work.Wait()
		return float64(sent.Load()) / time.Since(began).Seconds()
	}
}

// A32: handshakes that an outsider overheard, sent again by the ten thousand, leave
// the service of honest peers up: their stream goes on, and what they ask is answered.
func TestInitiationFloodLeavesServiceUp_A32(t *testing.T) {
	f := raiseFlooded(t)
	if f == nil {
		return
	}
	heard := f.heard(t, f.overheard, f.to.Port())
	one := heard[slices.IndexFunc(heard, func(b []byte) bool { return b[0] == 1 })]
	f.serve("ehr", 5000)
	echo := netip.AddrPortFrom(f.at.Addr(), 5000)
	f.served("ward", "udp", echo)
	pump := f.Host("ward").StartPump(f.at, 10*time.Millisecond)
	rate := func() float64 {
		began, before := time.Now(), f.sink.Received()
		time.Sleep(1500 * time.Millisecond)
		return float64(f.sink.Received()-before) / time.Since(began).Seconds()
	}
	calm := rate()
	memory := resident(t, f.nodes["ehr"])
	end := f.initiations(t, one)
	under := max(rate(), rate())
	answered := f.answeredOf(echo, questions)
	flood := end()
	calm = min(calm, rate())
	t.Logf("%.0f initiations a second; %.0f bytes a second under them, %.0f without; %d of %d questions were answered", flood, under, calm, answered, questions)
	if under < calm/2 || answered < questions/2 {
		t.Errorf("under %.0f initiations a second the stream carries %.0f bytes a second, and %.0f without; %d of %d questions were answered", flood, under, calm, answered, questions)
	}
	if flood < 10_000 {
		t.Errorf("%.0f initiations a second are no flood", flood)
	}
	// WireGuard's queue for initiations holds 1,024 of them, each in a buffer of 64 KiB.
	if grown := resident(t, f.nodes["ehr"]) - memory; grown > 96<<10 {
		t.Errorf("the daemon grew by %d KiB", grown)
	}
	if err := pump.Stop(); err != nil {
		t.Errorf("the stream ended: %v", err)
	}
}
