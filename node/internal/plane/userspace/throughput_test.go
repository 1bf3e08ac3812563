//go:build unix

package userspace_test

import (
	"context"
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"golang.zx2c4.com/wireguard/conn"
	"golang.zx2c4.com/wireguard/device"
	"golang.zx2c4.com/wireguard/tun"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/coordinator/wire/key"
	"github.com/cordonmesh/cordon/node/internal/plane"
	"github.com/cordonmesh/cordon/node/internal/plane/planetest"
	"github.com/cordonmesh/cordon/node/internal/plane/userspace"
)

// window is how many packets may be under way, as a TCP sender has it.
const window = 512

// pump is a TUN that sends full packets of one TCP flow as fast as its window
// lets it, in batches as a TUN with offloads gives them.
type pump struct {
	packet []byte
	sent   atomic.Int64
	got    *atomic.Int64 // by the other end
	on     *atomic.Bool
	events chan tun.Event
	closed chan struct{}
	once   sync.Once
}

func newPump(packet []byte, l *link) *pump {
	p := &pump{packet: packet, got: &l.got, on: &l.on, events: make(chan tun.Event, 1), closed: make(chan struct{})}
	p.events <- tun.EventUp
	return p
}

func (p *pump) Read(bufs [][]byte, sizes []int, offset int) (int, error) {
	for stalled := 0; p.packet == nil || !p.on.Load() || p.sent.Load()-p.got.Load() > window-int64(len(bufs)); stalled++ {
		select {
		case <-p.closed:
			return 0, os.ErrClosed
		case <-time.After(20 * time.Microsecond):
		}
		if p.packet != nil && stalled > 500 {
			p.sent.Store(p.got.Load()) // lost on the way: a sender would repeat it
		}
	}
	n := min(len(bufs), 64)
	for i := range n {
		sizes[i] = copy(bufs[i][offset:], p.packet)
	}
	p.sent.Add(int64(n))
	return n, nil
}

func (p *pump) Write(bufs [][]byte, _ int) (int, error) {
	p.got.Add(int64(len(bufs)))
	return len(bufs), nil
}

func (p *pump) Close() error {
	p.once.Do(func() { close(p.closed); close(p.events) })
	return nil
}
func (p *pump) File() *os.File           { return nil }
func (p *pump) MTU() (int, error)        { return plane.DefaultMTU, nil }
func (p *pump) Name() (string, error)    { return "pump", nil }
func (p *pump) Events() <-chan tun.Event { return p.events }
func (p *pump) BatchSize() int           { return conn.IdealBatchSize }

// known is the default bind with virtual endpoints that lead to loopback.
type known struct {
	conn.Bind
	port uint16
	open chan struct{}
	once sync.Once
	peer *known
}

func (k *known) Open(port uint16) (fns []conn.ReceiveFunc, actual uint16, err error) {
	fns, actual, err = k.Bind.Open(port)
	k.once.Do(func() { k.port = actual; close(k.open) })
	return fns, actual, err
}

func (k *known) ParseEndpoint(string) (conn.Endpoint, error) {
	<-k.peer.open
	return k.Bind.ParseEndpoint(netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), k.peer.port).String())
}

// link is two devices of some kind, joined over loopback sockets.
type link struct {
	got   atomic.Int64
	on    atomic.Bool // it is this link's turn
	close func()
}

// cost is what it took to move packets.
type cost struct{ wall, cpu time.Duration }

// cpuTime is what this process used of all processors.
func cpuTime(b *testing.B) time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// run moves n packets.
func (l *link) run(b *testing.B, n int64) cost {
	l.on.Store(true)
	defer l.on.Store(false)
	deadline := time.Now().Add(20 * time.Second)
	from, begin, used := l.got.Load(), time.Now(), cpuTime(b)
	for l.got.Load()-from < n {
		if time.Now().After(deadline) {
			b.Fatal("nothing arrives")
		}
		time.Sleep(100 * time.Microsecond)
	}
	return cost{time.Since(begin), cpuTime(b) - used}
}

func newLink(b *testing.B, filtered bool) *link {
	l := &link{}
	packet := planetest.TCP(planetest.A4, planetest.B4, 5000, 443, planetest.ACK)
	packet = append(packet, make([]byte, plane.DefaultMTU-len(packet))...)
	packet[2], packet[3] = byte(len(packet)>>8), byte(len(packet)&255)
	tuns := [2]*pump{newPump(packet, l), newPump(nil, l)}
	binds := [2]*known{}
	for i := range binds {
		binds[i] = &known{Bind: conn.NewDefaultBind(), open: make(chan struct{})}
	}
	binds[0].peer, binds[1].peer = binds[1], binds[0]
	keys := [2]key.TunnelPrivate{key.NewTunnel(), key.NewTunnel()}
	addr := [2]planetest.Address{planetest.A4, planetest.B4}
	var ends [2]end
	for i := range 2 {
		other := 1 - i
		if filtered {
			ends[i] = newPlane(b, tuns[i], binds[i], keys[i], keys[other].Public(), addr[i], addr[other], acl.Class(i+1))
		} else {
			ends[i] = newBare(tuns[i], binds[i], keys[i], keys[other].Public(), addr[other])
		}
	}
	for _, e := range ends { // both sockets are open from now on
		if err := e.configure(); err != nil {
			b.Fatal(err)
		}
	}
	l.close = func() { ends[0].close(); ends[1].close() }
	return l
}

type end struct {
	configure func() error
	close     func()
}

func newPlane(b *testing.B, dev tun.Device, bind conn.Bind, k key.TunnelPrivate, other key.TunnelPublic, self, peer planetest.Address, class acl.Class) end {
	p, err := userspace.New(userspace.Options{TUN: dev, Bind: bind, Now: now})
	if err != nil {
		b.Fatal(err)
	}
	classOf := func(a planetest.Address, c acl.Class) []acl.PrefixClass {
		return []acl.PrefixClass{{Prefix: a.Host(), Class: c}}
	}
	rules := []acl.Rule{{ID: "web", Src: []acl.Class{1}, Dst: []acl.Class{2}, Open: []acl.Service{{Protocol: acl.TCP, First: 443, Last: 443}}}}
	cfg := plane.Config{Revision: 1, TunnelKey: k, Mesh: planetest.Ranges(),
		Self: plane.Self{Prefixes: classOf(self, class)}, Rules: acl.RuleSet{In: rules, Out: rules},
		Peers: []plane.Peer{{ID: "n-b", TunnelKey: other, Allowed: []netip.Prefix{peer.Host()}, Prefixes: classOf(peer, 3-class)}}}
	return end{func() error { return p.Configure(context.Background(), cfg) }, func() { _ = p.Close() }}
}

func newBare(dev tun.Device, bind conn.Bind, k key.TunnelPrivate, other key.TunnelPublic, peer planetest.Address) end {
	d := device.NewDevice(dev, bind, &device.Logger{Verbosef: device.DiscardLogf, Errorf: device.DiscardLogf})
	d.DisableSomeRoamingForBrokenMobileSemantics()
	raw, theirs := k.Raw(), other.Raw()
	text := fmt.Sprintf("private_key=%s\npublic_key=%s\nendpoint=x\nallowed_ip=%s\n",
		hex.EncodeToString(raw[:]), hex.EncodeToString(theirs[:]), peer.Host())
	return end{func() error { return d.IpcSet(text) }, d.Close}
}

// BenchmarkThroughput moves full packets of one TCP flow through two bare
// wireguard-go devices and through two planes, over loopback sockets and in
// turns, and gives medians. Where other work shares the machine, the processor
// time for a packet says more than the rate.
func BenchmarkThroughput(b *testing.B) {
	const packets, rounds = 30_000, 15
	links := [2]*link{newLink(b, false), newLink(b, true)}
	defer links[0].close()
	defer links[1].close()
	for _, l := range links {
		l.run(b, packets) // the handshake, and memory for the first time
	}
	for b.Loop() {
		var rates, cpu [2][]float64
		for round := range rounds * 2 {
			i := (round + round/2) % 2 // each kind goes first as often as second
			c := links[i].run(b, packets)
			rates[i] = append(rates[i], packets*plane.DefaultMTU*8/c.wall.Seconds()/1e9)
			cpu[i] = append(cpu[i], float64(c.cpu.Nanoseconds())/packets)
		}
		b.ReportMetric(median(rates[0]), "bare-Gbit/s")
		b.ReportMetric(median(rates[1]), "ours-Gbit/s")
		b.ReportMetric(median(rates[1])/median(rates[0]), "rate-ratio")
		b.ReportMetric(median(cpu[0]), "bare-cpu-ns/packet")
		b.ReportMetric(median(cpu[1]), "ours-cpu-ns/packet")
		b.ReportMetric(median(cpu[0])/median(cpu[1]), "cpu-ratio")
	}
}

func median(list []float64) float64 {
	slices.Sort(list)
	return list[len(list)/2]
}
