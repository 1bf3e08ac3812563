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

// turn is changes that are made at once.
type turn func() []compile.Change

// obey makes all rule sets that are others now: who shares news shares a set.
func obey(m *compile.Mesh, all []compile.Change) (views, sets int) {
	for _, c := range all {
		var asked *compile.News
		for v := range c.Views() {
			if views++; v.Rules && v.News != asked {
				asked = v.News
				sets++
				m.Set(v.Node)
			}
		}
	}
	return views, sets
}

// BenchmarkWardBusy makes each kind of change where it concerns most, and takes it back,
// and tells of a processor's time what the middle one took and what the least: first until
// it is known who is to be told (put), then until all rule sets are made anew (sets).
func BenchmarkWardBusy(b *testing.B) {
	m, nodes, server, gateway := busyWard(b)
	person, device, doctor := nodes[10], nodes[8], nodes[20].User
	changes := func(name, back string, one compile.Node, other func(*compile.Node)) {
		changed := one
		other(&changed)
		there, home := put(m, changed), put(m, one)
		measure(b, name, m, there, home)
		if back != "" {
			measure(b, back, m, home, there)
			obey(m, home())
		}
	}
	comes := func(name string, n compile.Node) {
		come, leave := put(m, n), func() []compile.Change { return []compile.Change{m.Remove(n.ID)} }
		measure(b, name+"-goes", m, leave, come)
		measure(b, name+"-comes", m, come, leave)
		obey(m, come())
	}
	fact := []acl.FactEnd{{Fact: "posture:managed", Until: wardStart().Add(time.Hour)}}
	seat := compile.Seat{Session: "s1", Addrs: []netip.Addr{netip.MustParseAddr("100.99.1.1"), netip.MustParseAddr("fd7a::99:1")}, Facts: fact}
	route := func(n *compile.Node) {
		n.Routes = append([]netip.Prefix{netip.MustParsePrefix("10.201.0.0/16")}, n.Routes...)
	}
	comes("person", person)
	comes("server", server)
	comes("gateway", gateway)
	changes("person-signs-in", "person-signs-out", person, func(n *compile.Node) { n.Facts = fact })
	changes("person-hands-over", "", person, func(n *compile.Node) { n.User = doctor })
	changes("server-fact", "server-loses-fact", server, func(n *compile.Node) { n.Facts = fact })
	changes("server-renamed", "", server, func(n *compile.Node) { n.Name = "another" })
	changes("server-address", "", server, func(n *compile.Node) { n.Addrs = []netip.Addr{netip.MustParseAddr("100.99.0.1"), n.Addrs[1]} })
	changes("server-seat-comes", "server-seat-goes", server, func(n *compile.Node) { n.Seats = []compile.Seat{seat} })
	changes("server-route-approved", "server-route-withdrawn", server, route)
	changes("server-other-tag", "server-old-tag", server, func(n *compile.Node) { n.Tags = []string{"tag:t299"} })
	changes("server-gains-tag", "server-loses-tag", server, func(n *compile.Node) { n.Tags = []string{"tag:records", "tag:t299"} })
	changes("server-is-a-device-too", "", server, func(n *compile.Node) { n.Tags = []string{"tag:records", "tag:d8"} })
	changes("device-gains-records", "device-loses-records", device, func(n *compile.Node) { n.Tags = append([]string{"tag:records"}, n.Tags...) })
	changes("gateway-fact", "gateway-loses-fact", gateway, func(n *compile.Node) { n.Facts = fact })
	changes("gateway-sees-device", "gateway-loses-device", gateway, func(n *compile.Node) {
		at := netip.MustParsePrefix("10.200.99.9/32")
		n.Devices = append(slices.Clone(n.Devices), compile.Device{Prefix: at, Tags: []string{"tag:d8"}})
	})
	changes("gateway-route-goes", "gateway-route-comes", gateway, func(n *compile.Node) { n.Routes = nil })
	changes("gateway-gains-route", "gateway-loses-route", gateway, route)
	election(b, m, nodes[9_988], gateway)
}

// election lets the elected gateway of a /16 turn to a standby and back.
func election(b *testing.B, m *compile.Mesh, standby, gateway compile.Node) {
	was := standby
	standby.Routes, standby.Devices, standby.Tags = gateway.Routes, gateway.Devices, gateway.Tags
	elect := func(one, other compile.Node) turn {
		one.Elected = one.Routes
		return put(m, other, one)
	}
	m.Put(standby)
	measure(b, "gateway-turns-to-standby", m, elect(standby, gateway), elect(gateway, standby))
	measure(b, "standby-comes", m, put(m, standby), put(m, was))
	obey(m, put(m, was, gateway)())
}

func put(m *compile.Mesh, nodes ...compile.Node) turn {
	return func() (all []compile.Change) {
		for _, n := range nodes {
			all = append(all, m.Put(n))
		}
		return all
	}
}

// measure makes a change and takes it back, and reports what it took to make it.
func measure(b *testing.B, name string, m *compile.Mesh, do, undo turn) {
	b.Run(name, func(b *testing.B) {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		obey(m, undo())
		var put, sets stopwatch
		told, made := 0, 0
		for b.Loop() {
			var changes []compile.Change
			put.time(func() { changes = do() })
			sets.time(func() { told, made = obey(m, changes) })
			obey(m, undo())
		}
		b.ReportMetric(0, "ns/op") // both ways
		put.report(b, "put")
		sets.report(b, "sets")
		b.ReportMetric(float64(told), "views")
		b.ReportMetric(float64(made), "sets")
	})
}

// stopwatch keeps what something took each time of a processor.
type stopwatch []time.Duration

func (w *stopwatch) time(what func()) {
	used := threadTime()
	what()
	*w = append(*w, threadTime()-used)
}

func (w *stopwatch) report(b *testing.B, what string) {
	slices.Sort(*w)
	b.ReportMetric((*w)[len(*w)/2].Seconds()*1000, "ms-"+what)
	b.ReportMetric((*w)[0].Seconds()*1000, "least-ms-"+what)
}

// threadTime gives how much of a processor the thread has had.
func threadTime() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t); err != nil {
		panic(err) // every Linux has that clock
	}
	return time.Duration(t.Nano())
}
