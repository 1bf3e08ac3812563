package distribute_test

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/coordinator/internal/distribute"
	"github.com/cordonmesh/cordon/coordinator/internal/registry"
	"github.com/cordonmesh/cordon/coordinator/wire"
)

const (
	openToAll = `{"tagOwners": {"tag:a": []}, "acls": [{"action": "accept", "src": ["*"], "dst": ["*:443"]}]}`

	// Twenty servers that everybody may reach, on one port or on two.
	openServers = `{"tagOwners": {"tag:a": []}, "acls": [{"action": "accept", "src": ["*"], "dst": ["tag:a:443"]}]}`
	openPorts   = `{"tagOwners": {"tag:a": []}, "acls": [{"action": "accept", "src": ["*"], "dst": ["tag:a:443,8443"]}]}`
	openWorking = `{"tagOwners": {"tag:a": []}, "grants": [{"src": ["*"], "dst": ["tag:a"], "ip": ["443"], "when": {"idle": "15m"}}]}`
	openNothing = `{"tagOwners": {"tag:a": []}}`
)

// cpu gives the processor time that this process used, which a busy machine
// does not falsify.
func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// crowd is many connected nodes that throw away what they get.
type crowd struct {
	*world
	nodes []*node
	got   sync.WaitGroup // awaits one signed message for each node
	wait  []bool
	bytes int
	mu    sync.Mutex
	stops func()
}

func newCrowd(b *testing.B, size int, policy string) *crowd {
	c := &crowd{world: begin(b), wait: make([]bool, size)}
	c.policy(openNothing)
	for range size - 20 {
		c.nodes = append(c.nodes, c.enrol())
	}
	for range 20 {
		c.nodes = append(c.nodes, c.enrol("tag:a"))
	}
	ctx, stop := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	c.expect()
	for i, n := range c.nodes {
		wg.Go(func() {
			s := c.registry.Snapshot()
			j := distribute.Join{Node: n.id, From: netip.MustParseAddr("192.0.2.1"), Instance: "i",
				Position: wire.Position{Incarnation: s.Incarnation, Revision: s.Revision, Epoch: s.Epoch}, Digest: wire.Digest{1}}
			c.hub.Follow(ctx, j, func(batch []*wire.FollowResponse) error {
				for _, m := range batch {
					c.take(i, m)
				}
				return nil
			})
		})
	}
	c.got.Wait()
	c.expect()
	c.policy(policy)
	c.got.Wait()
	c.stops = func() { stop(); wg.Wait(); c.stop() }
	b.Cleanup(c.stops)
	return c
}

func (c *crowd) expect() { c.expectAt(0, len(c.wait)) }

// expectAt has a message awaited at the nodes of a range.
func (c *crowd) expectAt(first, end int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := first; i < end; i++ {
		c.wait[i] = true
	}
	c.got.Add(end - first)
}

func (c *crowd) take(i int, m *wire.FollowResponse) {
	if s := m.GetSigned(); s != nil && len(s.Payload) > 60 { // no lease
		c.mu.Lock()
		c.bytes += len(s.Payload)
		if c.wait[i] {
			c.wait[i] = false
			c.got.Done()
		}
		c.mu.Unlock()
	}
}

// BenchmarkJoin is one node that joins where everybody may see it. cpu-us/peer
// holds registry, compiler, hub and signature, without TLS.
func BenchmarkJoin(b *testing.B) {
	for _, size := range []int{1000} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			c := newCrowd(b, size, openToAll)
			var spent time.Duration
			c.bytes = 0
			for b.Loop() {
				fresh := newNode(c.world)
				c.expect()
				before := cpu(b)
				c.do(fresh.enrolment())
				c.got.Wait()
				spent += cpu(b) - before
				c.expect()
				c.do(registry.RemoveNode{Node: fresh.id})
				c.got.Wait()
			}
			b.ReportMetric(float64(spent.Microseconds())/float64(b.N)/float64(size), "cpu-us/peer")
			b.ReportMetric(float64(c.bytes)/float64(b.N)/float64(size)/2, "bytes/peer")
		})
	}
}

// BenchmarkLogin is one person of many who proves anew who they are, where twenty
// servers may be reached while signed in: the twenty and the person's own machine
// are told. A shift that comes is 3,000 of it in five minutes; 10,000 people who
// sign in every 12 hours are one in 4 s.
func BenchmarkLogin(b *testing.B) {
	const size = 10000
	c := newCrowd(b, size, openServers)
	c.expect()
	c.do(registry.RequireSignIn{Required: true})
	c.got.Wait()
	login := func(i int) {
		c.do(registry.BeginSession{ID: fmt.Sprint("s-", i), Node: c.nodes[i].id, Life: 12 * time.Hour, Who: registry.Identity{
			Issuer: "https://id.example", Subject: "ana", Login: "ana@clinic.example", AMR: []string{"pwd", "otp"}, At: time.Now()}})
	}
	for i := range size - 20 {
		c.expectAt(i, i+1)
		login(i)
		c.got.Wait()
	}
	time.Sleep(time.Second) // the servers, too, have heard of all
	var spent, longest time.Duration
	c.bytes = 0
	for i := 0; b.Loop(); i = (i + 1) % (size - 20) {
		c.expectAt(i, i+1)
		c.expectAt(size-20, size)
		before, began := cpu(b), time.Now()
		login(i)
		c.got.Wait()
		spent += cpu(b) - before
		longest = max(longest, time.Since(began))
	}
	b.ReportMetric(float64(spent.Microseconds())/float64(b.N), "cpu-us/login")
	b.ReportMetric(float64(c.bytes)/float64(b.N)/21, "bytes/told")
	b.ReportMetric(float64(longest.Microseconds())/1000, "ms-longest")
}

// BenchmarkPolicyEdit changes a port that is open to everybody.
func BenchmarkPolicyEdit(b *testing.B) {
	for _, size := range []int{1000, 10000} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			c := newCrowd(b, size, openServers)
			var spent time.Duration
			texts := []string{openPorts, openServers}
			for i := 0; b.Loop(); i++ {
				c.expect()
				before := cpu(b)
				c.policy(texts[i%2])
				c.got.Wait()
				spent += cpu(b) - before
			}
			b.ReportMetric(float64(spent.Microseconds())/float64(b.N)/float64(size), "cpu-us/node")
		})
	}
}

// BenchmarkFull is one node that comes with nothing, to a mesh in which it sees everybody.
func BenchmarkFull(b *testing.B) { benchmarkGreet(b, false) }

// BenchmarkCurrent is one node that comes with the right map.
func BenchmarkCurrent(b *testing.B) { benchmarkGreet(b, true) }

func benchmarkGreet(b *testing.B, current bool) {
	const size = 10000
	w := begin(b)
	defer func() { w.stop() }()
	w.policy(openToAll)
	var last *node
	for range size {
		last = w.enrol()
	}
	s := w.registry.Snapshot()
	j := distribute.Join{Node: last.id, From: netip.MustParseAddr("192.0.2.1"), Instance: "i"}
	if current {
		j.Position = wire.Position{Incarnation: s.Incarnation, Revision: s.Revision, Epoch: s.Epoch}
		j.Digest = wanted(s, last.id).Digest()
	}
	var spent time.Duration
	for b.Loop() {
		before := cpu(b)
		w.hub.Follow(context.Background(), j, func(batch []*wire.FollowResponse) error {
			for _, m := range batch {
				if m.GetCurrent() != nil || len(m.GetSigned().GetPayload()) > 1<<16 {
					return errStopped
				}
			}
			return nil
		})
		spent += cpu(b) - before
	}
	b.ReportMetric(float64(spent.Microseconds())/float64(b.N), "cpu-us/op")
}

// BenchmarkActivity is a hundred of ten thousand people who go on working, of whom one
// entry of the journal tells: the twenty servers and each person's own machine are told
// of other ends. All of them, with an idleness of 15 minutes, are one hundred in 2.25 s.
func BenchmarkActivity(b *testing.B) {
	const size, people = 10000, 100
	c := newCrowd(b, size, openWorking)
	for i := range size - 20 {
		c.expectAt(i, i+1)
		c.do(registry.BeginSession{ID: fmt.Sprint("s-", i), Node: c.nodes[i].id, Life: 12 * time.Hour, Who: registry.Identity{
			Issuer: "https://id.example", Subject: "ana", Login: "ana@clinic.example", AMR: []string{"pwd", "otp"}, At: time.Now()}})
		c.got.Wait()
	}
	var spent time.Duration
	written := 0
	c.bytes = 0
	c.ahead.Store(int64(time.Second))
	for i := 0; b.Loop(); i = (i + people) % (size - 20 - people) {
		of := make(map[registry.Sitting]registry.Activity, people)
		for _, n := range c.nodes[i : i+people] {
			of[registry.Sitting{Node: n.id}] = registry.Activity{At: time.Now().Add(time.Duration(c.ahead.Add(int64(time.Second))))}
		}
		c.expectAt(i, i+people)
		c.expectAt(size-20, size)
		before := cpu(b)
		c.do(registry.NoteActive{Of: of})
		c.got.Wait()
		spent += cpu(b) - before
		entries, _ := c.registry.Since(c.registry.Snapshot().Revision - 1)
		text, err := registry.EncodeEntry(entries[0])
		if err != nil {
			b.Fatal(err)
		}
		written += len(text)
	}
	b.ReportMetric(float64(spent.Microseconds())/float64(b.N)/people, "cpu-us/person")
	b.ReportMetric(float64(c.bytes)/float64(b.N)/people/21, "bytes/told")
	b.ReportMetric(float64(written)/float64(b.N)/people, "journal-bytes/person")
}

// BenchmarkSeat is one person who signs in at a machine at which so many others sit, and
// out: the machine, and the server that may be reached from it, are told. "whole" is of
// nodes that take whole records alone.
func BenchmarkSeat(b *testing.B) {
	for _, others := range []int{0, 15, 63} {
		b.Run(fmt.Sprint(others), func(b *testing.B) { benchmarkSeat(b, others, true) })
		b.Run(fmt.Sprint(others, "-whole"), func(b *testing.B) { benchmarkSeat(b, others, false) })
	}
}

func benchmarkSeat(b *testing.B, others int, deltas bool) {
	w := begin(b)
	ctx, stop := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	defer func() { stop(); wg.Wait(); w.stop() }()
	w.policy(kiosks)
	w.do(registry.RequireSignIn{Required: true})
	ehr, kiosk := w.enrol("tag:ehr"), w.enrol("tag:kiosk")
	for i := range others {
		w.sit(kiosk, fmt.Sprint("s-", i), fmt.Sprint(1000+i), fmt.Sprintf("p%d@clinic.example", i))
	}
	sizes := map[*node]chan int{ehr: make(chan int, 8), kiosk: make(chan int, 8)}
	for n, told := range sizes {
		wg.Go(func() {
			w.hub.Follow(ctx, distribute.Join{Node: n.id, From: n.from, Instance: "i", SeatDeltas: deltas}, func(batch []*wire.FollowResponse) error {
				for _, m := range batch {
					if s := m.GetSigned(); s != nil && len(s.Payload) > 60 { // no lease
						told <- len(s.Payload)
					}
				}
				return nil
			})
		})
		<-told
	}
	var came, here, went int
	var spent time.Duration
	for b.Loop() {
		before := cpu(b)
		w.sit(kiosk, "last", "999", "ana@clinic.example")
		came, here = came+<-sizes[ehr], here+<-sizes[kiosk]
		w.do(registry.EndSessions{ID: "last"})
		went += <-sizes[ehr]
		<-sizes[kiosk]
		spent += cpu(b) - before
	}
	b.ReportMetric(float64(spent.Microseconds())/float64(b.N)/2, "cpu-us/change")
	b.ReportMetric(float64(came)/float64(b.N), "bytes/sign-in")
	b.ReportMetric(float64(went)/float64(b.N), "bytes/sign-out")
	b.ReportMetric(float64(here)/float64(b.N), "bytes/machine")
}
