package compile_test

import (
	"fmt"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/acl/compile"
)

// busyWard is largeWard where 2,000 of 5,000 rules lead to one tag, the records' servers,
// from 500 tags of devices; with a gateway that has a /16 behind it, of which the policy
// names 250 hosts, which are devices that the gateway vouches for.
func busyWard(b *testing.B) (m *compile.Mesh, nodes []compile.Node, server, gateway compile.Node) {
	text, nodes := largeWard(10_000, 3_000)
	var tags, grants, hosts strings.Builder
	for t := range 500 {
		fmt.Fprintf(&tags, "\"tag:d%d\": [],", t)
	}
	for r := range 2_000 {
		src := fmt.Sprintf("tag:d%d", r%500)
		if r%4 == 3 {
			src = fmt.Sprintf("group:g%d", r%60)
		}
		fmt.Fprintf(&grants, "{\"id\": \"b%d\", \"src\": [%q], \"dst\": [\"tag:records\"], \"ip\": [\"tcp:%d\"]%s},\n", r, src, 1000+r, wardTerms(r))
	}
	for h := range 250 {
		fmt.Fprintf(&hosts, "\"host-%d\": \"10.200.%d.%d\",", h, h/16, 1+h%16)
		fmt.Fprintf(&grants, "{\"id\": \"h%d\", \"src\": [\"group:g%d\"], \"dst\": [\"host-%d\"], \"ip\": [\"tcp:443\"]},\n", h, h%60, h)
	}
	text = strings.Replace(text, `"tagOwners": {`, `"hosts": {`+hosts.String()+`}, "tagOwners": {"tag:records": [], `+tags.String(), 1)
	text = strings.Replace(text, "\"grants\": [\n", "\"grants\": [\n"+grants.String(), 1)
	for i := range nodes {
		switch {
		case i%20 == 17 && i/20 < 30: // 30 servers of the records
			nodes[i].Tags = []string{"tag:records"}
		case i%10 >= 7:
			nodes[i].Tags = append(nodes[i].Tags, fmt.Sprintf("tag:d%d", i%500))
		}
	}
	gateway = nodes[9_998]
	gateway.Routes = []netip.Prefix{netip.MustParsePrefix("10.200.0.0/16")}
	for d := range 250 {
		at := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 200, byte(d / 16), byte(1 + d%16)}), 32)
		gateway.Devices = append(gateway.Devices, compile.Device{Prefix: at, Tags: []string{fmt.Sprintf("tag:d%d", d)}})
	}
	nodes[9_998] = gateway
	return largeMesh(parseLarge(b, text), nodes), nodes, nodes[17], gateway
}

// obey makes the rule sets of all whom a change tells that theirs is another.
func obey(m *compile.Mesh, c compile.Change) (sets int) {
	for _, v := range c.Views {
		if v.Rules {
			sets++
			m.Rules(v.Node)
		}
	}
	return sets
}

// BenchmarkWardBusy changes one node to and fro where that concerns most, and tells the
// middle one of what the changes took, by the clock and of a processor: first until it is
// known who is to be told (put), then until all rule sets are made anew (sets).
func BenchmarkWardBusy(b *testing.B) {
	m, nodes, server, gateway := busyWard(b)
	fact := []acl.FactEnd{{Fact: "posture:managed", Until: wardStart().Add(time.Hour)}}
	run := func(name string, one compile.Node, other func(*compile.Node)) {
		changed := one
		other(&changed)
		b.Run(name, func(b *testing.B) {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			var put, sets stopwatch
			views, made := 0, 0
			for b.Loop() {
				for _, n := range []compile.Node{changed, one} {
					var change compile.Change
					put.time(func() { change = m.Put(n) })
					sets.time(func() { made += obey(m, change) })
					views += len(change.Views)
				}
			}
			put.report(b, "put")
			sets.report(b, "sets")
			b.ReportMetric(float64(views)/float64(2*b.N), "views")
			b.ReportMetric(float64(made)/float64(2*b.N), "sets")
		})
	}
	run("server-fact", server, func(n *compile.Node) { n.Facts = fact })
	run("server-renamed", server, func(n *compile.Node) { n.Name = "another" })
	run("server-address", server, func(n *compile.Node) { n.Addrs = []netip.Addr{netip.MustParseAddr("100.99.0.1"), n.Addrs[1]} })
	run("server-loses-tag", server, func(n *compile.Node) { n.Tags = []string{"tag:t299"} })
	run("server-gains-tag", server, func(n *compile.Node) { n.Tags = []string{"tag:records", "tag:t299"} })
	run("server-is-a-device-too", server, func(n *compile.Node) { n.Tags = []string{"tag:records", "tag:d8"} })
	run("device-gains-records", nodes[8], func(n *compile.Node) { n.Tags = append([]string{"tag:records"}, n.Tags...) })
	run("gateway-fact", gateway, func(n *compile.Node) { n.Facts = fact })
	run("gateway-sees-device", gateway, func(n *compile.Node) {
		at := netip.MustParsePrefix("10.200.99.9/32")
		n.Devices = append(slices.Clone(n.Devices), compile.Device{Prefix: at, Tags: []string{"tag:d8"}})
	})
	run("gateway-route-comes-and-goes", gateway, func(n *compile.Node) { n.Routes = nil })
	run("gateway-gains-route", gateway, func(n *compile.Node) {
		n.Routes = append([]netip.Prefix{netip.MustParsePrefix("10.201.0.0/16")}, n.Routes...)
	})
}

// stopwatch keeps what something took each time, by the clock and of a processor.
type stopwatch struct{ clock, processor []time.Duration }

func (w *stopwatch) time(what func()) {
	began, used := time.Now(), threadTime()
	what()
	w.clock, w.processor = append(w.clock, time.Since(began)), append(w.processor, threadTime()-used)
}

func (w *stopwatch) report(b *testing.B, what string) {
	middle := func(all []time.Duration) float64 {
		slices.Sort(all)
		return all[len(all)/2].Seconds() * 1000
	}
	b.ReportMetric(middle(w.clock), "ms-"+what)
	b.ReportMetric(middle(w.processor), "cpu-ms-"+what)
}

// threadTime gives how much of a processor the thread has had.
func threadTime() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t); err != nil {
		panic(err) // every Linux has that clock
	}
	return time.Duration(t.Nano())
}
