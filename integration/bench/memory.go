//go:build linux

package main

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/cordonmesh/cordon/integration/lab"
	"github.com/cordonmesh/cordon/node/local"
)

// memory: a node with five peers, before any traffic and after much of it, with
// a TUN and rootless.
func (b *bench) memory() error {
	return b.inLab("memory", func(t lab.T) {
		names := []string{"hub", "ward", "desk", "p1", "p2", "p3", "p4", "p5"}
		l := lab.Up(t, lab.Segment(names...))
		programs := lab.Build(t)
		c := programs.StartCoordinator(l.Host("hub"), netip.AddrPortFrom(l.Host("hub").Addr4(), 8443))
		empty, err := rssOf(c.Process.Pid())
		must(t, err)
		c.SetPolicy(tunnelPolicy())
		peers := c.Token("tag:ehr", "--uses", "5")
		var first *lab.Daemon
		for _, name := range names[3:] {
			d := programs.StartDaemon(l.Host(name))
			d.Up(peers)
			if first == nil {
				first = d
			}
		}
		at := netip.AddrPortFrom(first.Mesh4(), sinkPort)
		sink := l.Host("p1").ServeSink(netip.AddrPortFrom(netip.IPv4Unspecified(), sinkPort))
		ward := programs.StartDaemon(l.Host("ward"))
		ward.Up(c.Token("nina@hospital.example"))
		door := netip.MustParseAddrPort("127.0.0.1:5299")
		desk := programs.StartDaemon(l.Host("desk"), "--userspace", "--forward", fmt.Sprintf("%s=%s", door, at))
		desk.Up(c.Token("nina@hospital.example"))
		for _, d := range []*lab.Daemon{ward, desk} {
			d.Wait("knows five peers", func(s *local.Status) bool { return len(s.Peers) == 5 })
		}
		time.Sleep(settle)

		b.results.add(row{What: "coordinator, empty", Value: empty, Unit: "MB", Gate: atMost(50)})
		bytes := pick[int64](b, 10e9, 1e9)
		ours := link{from: ward.Host, to: l.Host("p1"), at: at.Addr(), port: at.Port(), pids: []int{ward.Process.Pid()}}
		b.fill(t, "node with 5 peers, with a TUN", ours, sink, bytes, true)
		rootless := link{from: desk.Host, to: l.Host("p1"), at: door.Addr(), port: door.Port(), pids: []int{desk.Process.Pid()}}
		b.fill(t, "node with 5 peers, rootless", rootless, sink, bytes, true)
		bare := bareTunnel(t, l, ward.Host, l.Host("p1"), 1, ourMTU)
		b.fill(t, "bare wireguard-go with 1 peer", bare, sink, bytes/5, false)
	})
}

// fill gives the rows of one kind: what the sender's program takes before and
// after it has carried so many bytes.
func (b *bench) fill(t lab.T, kind string, k link, sink *lab.Sink, bytes int64, gated bool) {
	t.Helper()
	before, err := rssOf(k.pids[0])
	must(t, err)
	m, err := k.move(t, sink, 4, 2*time.Minute, bytes)
	must(t, err)
	after, err := rssOf(k.pids[0])
	must(t, err)
	note := fmt.Sprintf("%s GB at %s Gbit/s", figure(float64(m.bytes)/1e9), figure(m.gigabits()))
	if m.bytes < bytes {
		note += fmt.Sprintf(", of the %s GB that should have gone", figure(float64(bytes)/1e9))
	}
	rest := pick(b, 10*time.Second, 2*time.Second)
	time.Sleep(rest)
	rested, err := rssOf(k.pids[0])
	must(t, err)
	rows := []row{
		{What: kind + ", before traffic", Value: before, Unit: "MB"},
		{What: kind + ", after traffic", Value: after, Unit: "MB", Note: note},
		{What: kind + ", after traffic and " + rest.String() + " of rest", Value: rested, Unit: "MB"},
	}
	if gated {
		rows[0].Gate, rows[1].Gate = atMost(25), atMost(60)
	}
	b.results.add(rows...)
}
