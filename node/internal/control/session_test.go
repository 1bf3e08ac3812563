package control_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"connectrpc.com/connect"

	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/coordinator/wire/key"
	"github.com/cordonmesh/cordon/node/internal/control/controltest"
)

func TestRevocationTakesThePeerAtOnceAndForGood(t *testing.T) {
	virtual(t, func(t *testing.T) {
		r := newRig(t).begin()
		ehr, _ := controltest.Stranger("ehr", "100.64.0.2")
		thief, _ := controltest.Stranger("thief", "100.64.0.3")
		m := r.at(controltest.At(1, 1, 5), ehr, thief)
		s := r.c.Next()
		r.send(s, r.full(m), r.revoke(controltest.At(1, 2, 6), thief))
		r.holds(controltest.At(1, 1, 5), "ehr") // the Delta that removes it may be late
		r.reboot()
		if r.loadErr != nil || r.start.Map.Revision != 5 || len(r.start.Map.Peers) != 1 || r.start.Floor().Epoch != 2 {
			t.Fatal("after a reboot:", r.start.Map.Position(), names(r.start.Map), r.loadErr)
		}
		s = r.c.Next()
		if s.Request.Epoch != 2 {
			t.Fatal("it forgot the epoch:", s.Request)
		}
		// Whoever offers the revoked key again is not obeyed, and is told why.
		r.send(s, r.full(r.at(controltest.At(2, 2, 7), ehr, thief)))
		if alive(s) || len(r.maps) != 0 {
			t.Fatal("a revoked peer came back", names(r.maps[0]))
		}
		if got := r.c.Surrendered(); len(got) != 1 || len(got[0].Revocations) != 1 || len(got[0].MapKeys) != 1 {
			t.Fatal("surrendered", got)
		}
	})
}

func TestRevocationBeforeAnyMapIsNoMap(t *testing.T) {
	virtual(t, func(t *testing.T) {
		r := newRig(t).begin()
		thief, _ := controltest.Stranger("thief", "100.64.0.3")
		s := r.c.Next()
		r.send(s, r.revoke(controltest.At(1, 2, 6), thief))
		if len(r.maps) != 0 || r.confirmed != 0 {
			t.Fatal("a node without a map was told that it has one")
		}
		r.send(s, r.full(r.at(controltest.At(1, 2, 6), thief)))
		if len(r.maps) != 0 {
			t.Fatal("a revoked peer is in the first map")
		}
	})
}

func TestRestoredCoordinatorIsGivenItsRevocations(t *testing.T) {
	virtual(t, func(t *testing.T) {
		r := newRig(t).begin()
		s := r.c.Next()
		r.send(s, r.full(r.at(controltest.At(1, 1, 5))))
		const many = 250 // more than one message may hold
		for i := range many {
			thief, _ := controltest.Stranger("thief", fmt.Sprintf("100.64.%d.%d", 1+i/250, i%250))
			r.send(s, r.revoke(controltest.At(1, uint64(2+i), uint64(6+i)), thief))
		}
		s.End(nil)
		s = r.c.Next()
		s.End(controltest.ErrAborted())
		s = r.c.Next()
		trust, seen := wire.NewTrust(r.c.Mesh.Root.Public()), map[string]bool{}
		for _, m := range r.c.Surrendered() {
			if len(m.Revocations) > 100 {
				t.Fatal(len(m.Revocations), "in one message")
			}
			for _, c := range m.MapKeys {
				if err := trust.Add(c); err != nil {
					t.Fatal(err)
				}
			}
			found, err := wire.ReplayRevocations(trust, m.Revocations)
			if err != nil {
				t.Fatal(err)
			}
			for id := range found {
				seen[id] = true
			}
		}
		if len(seen) != many {
			t.Fatal(len(seen), "surrendered, want", many)
		}
		next := r.at(controltest.At(2, 252, 3)) // a new incarnation, a lower revision
		r.send(s, r.full(next))
		r.holds(next.Position())
	})
}

func TestSilenceEndsTheSession(t *testing.T) {
	virtual(t, func(t *testing.T) {
		r := newRig(t).begin()
		s := r.c.Next()
		r.send(s, r.full(r.at(controltest.At(1, 1, 5))))
		for range 6 {
			time.Sleep(30 * time.Second)
			r.send(s, controltest.Heartbeat())
		}
		if !alive(s) {
			t.Fatal("heartbeats do not keep the session")
		}
		time.Sleep(94 * time.Second)
		if !alive(s) {
			t.Fatal("three missing heartbeats are not silence yet")
		}
		time.Sleep(2 * time.Second)
		if alive(s) || !strings.Contains(fmt.Sprint(r.lastContact()), "silent") {
			t.Fatal("silence is not noticed:", r.lastContact())
		}
		r.c.Next() // and it comes back
		if len(r.maps) != 1 {
			t.Fatal("losing the coordinator changed the map")
		}
		// One that takes the connection and answers nothing is silent too.
		time.Sleep(70 * time.Second)
		r.c.Next()
	})
}

// attempts counts connections, and when they were tried.
type attempts struct {
	mu   sync.Mutex
	when []time.Time
	dial func(context.Context, string, string) (net.Conn, error)
}

func (a *attempts) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	a.mu.Lock()
	a.when = append(a.when, time.Now())
	a.mu.Unlock()
	return a.dial(ctx, network, address)
}

func (a *attempts) all() []time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.when)
}

func TestBackoffGrowsHasABoundAndJitter(t *testing.T) {
	gaps := map[time.Duration]int{}
	for range 4 {
		virtual(t, func(t *testing.T) {
			r := newRig(t)
			a := &attempts{dial: r.c.Dial}
			r.dial = a.Dial
			r.c.Cut(true)
			r.begin()
			time.Sleep(10 * time.Minute)
			when := a.all()
			if n := len(when); n < 12 || n > 60 {
				t.Fatal(n, "attempts in ten minutes")
			}
			if first := when[1].Sub(when[0]); first > time.Second {
				t.Fatal("the first pause is", first)
			}
			last := when[len(when)-1].Sub(when[len(when)-2])
			if last < 15*time.Second || last > 45*time.Second {
				t.Fatal("the last pause is", last)
			}
			gaps[last]++
			r.c.Cut(false)
			time.Sleep(46 * time.Second)
			r.c.Next()
		})
	}
	if len(gaps) < 3 {
		t.Fatal("every node waits equally long:", gaps)
	}
}

// A coordinator that ends every session as soon as it stands, or a twin that
// takes each one over, is not asked four times a second for ever.
func TestShortSessionsAreNoSuccess(t *testing.T) {
	virtual(t, func(t *testing.T) {
		r := newRig(t).begin()
		begun := time.Now()
		for range 12 {
			s := nextWithin(t, r, time.Minute)
			r.send(s, controltest.Current())
			s.End(connect.NewError(connect.CodeUnavailable, errors.New("this node connected again from elsewhere")))
		}
		if took := time.Since(begun); took < time.Minute {
			t.Fatal("twelve sessions within", took)
		}
		s := nextWithin(t, r, time.Minute)
		r.send(s, controltest.Current())
		for range 3 {
			time.Sleep(20 * time.Second)
			r.send(s, controltest.Heartbeat())
		}
		ended := time.Now()
		s.End(nil)
		nextWithin(t, r, time.Minute)
		if took := time.Since(ended); took > time.Second {
			t.Fatal("after a good session it comes back only after", took)
		}
	})
}

func nextWithin(t *testing.T, r *rig, patience time.Duration) *controltest.Stream {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if synctest.Wait(); r.c.Waiting() > 0 {
			return r.c.Next()
		}
	}
	t.Fatal("no session")
	return nil
}

func TestWhatGoesUpIsTriedAgain(t *testing.T) {
	virtual(t, func(t *testing.T) {
		r := newRig(t)
		r.c.Refuse(connect.NewError(connect.CodeUnavailable, errors.New("the coordinator cannot write now")))
		r.begin()
		s := r.c.Next()
		r.send(s, r.full(r.at(controltest.At(1, 1, 5))))
		r.follower.Acknowledge(controltest.At(1, 1, 5))
		time.Sleep(12 * time.Second)
		if !alive(s) {
			t.Fatal("a report that failed ended the session")
		}
		r.c.Refuse(nil)
		time.Sleep(30 * time.Second)
		if len(r.c.Reports()) != 1 || len(r.c.Acknowledged()) != 1 {
			t.Fatal(r.c.Reports(), r.c.Acknowledged())
		}
		r.follower.FactsChanged()
		time.Sleep(time.Second)
		if len(r.c.Reports()) != 2 {
			t.Fatal("changed facts were not reported")
		}
	})
}

// What only adds peers is acknowledged late, once for all that came meanwhile;
// anything else, and the first map of a session, at once.
func TestUnhurriedMapsShareAnAcknowledgement(t *testing.T) {
	virtual(t, func(t *testing.T) {
		r := newRig(t).begin()
		var peers []wire.PeerRecord
		m := r.at(controltest.At(1, 1, 5))
		s := r.c.Next()
		r.send(s, r.full(m))
		enforce := func() { r.follower.Acknowledge(m.Position()); synctest.Wait() }
		grow := func(wrap func(*wire.FollowResponse) *wire.FollowResponse) {
			p, _ := controltest.Stranger(fmt.Sprintf("p%d", len(peers)), fmt.Sprintf("100.64.0.%d", 2+len(peers)))
			peers = append(peers, p)
			next := r.at(controltest.At(1, 1, m.Revision+1), peers...)
			r.send(s, wrap(r.delta(m, next)))
			m = next
			enforce()
		}
		as := func(m *wire.FollowResponse) *wire.FollowResponse { return m }
		last := func(count int) {
			t.Helper()
			if got := r.c.Acknowledged(); len(got) != count || got[count-1].Revision != m.Revision {
				t.Fatal("acknowledged so far", got, "want", count, "up to", m.Position())
			}
		}
		enforce()
		last(1)
		for range 3 {
			grow(controltest.Unhurried)
		}
		time.Sleep(wire.UnhurriedWithin / 2 * 9 / 10)
		if got := r.c.Acknowledged(); len(got) != 1 {
			t.Fatal("nobody waited, and it was acknowledged:", got)
		}
		time.Sleep(wire.UnhurriedWithin)
		last(2)
		grow(as) // no word about the hurry: a coordinator that knows no other
		last(3)
		grow(controltest.Unhurried)
		grow(as) // takes the other along
		last(4)
		time.Sleep(2 * wire.UnhurriedWithin)
		last(4)
		grow(controltest.Unhurried)
		s.End(nil)
		s = r.c.Next()
		r.send(s, controltest.Current())
		last(5)
	})
}

func TestCertificateIsRenewedAtHalfItsLife(t *testing.T) {
	virtual(t, func(t *testing.T) {
		for name, age := range map[string]time.Duration{"young": 0, "half gone": controltest.Life/2 + time.Hour, "expired": 2 * controltest.Life} {
			r := newRig(t)
			id := r.identity()
			id.Chain = r.c.Mesh.NodeChainFrom(r.keys.Node.Public(), time.Now().Add(-age))
			if err := r.dir.SaveIdentity(id); err != nil {
				t.Fatal(err)
			}
			old := string(id.Chain[0])
			s := r.begin().c.Next()
			r.send(s, controltest.Current())
			s.End(nil)
			r.c.Next()
			synctest.Wait()
			kept, err := r.dir.Identity()
			if err != nil {
				t.Fatal(err)
			}
			if renewed := string(kept.Chain[0]) != old; renewed != (age != 0) {
				t.Fatal(name, "renewed", renewed)
			}
			r.stop()
		}
	})
}

// A server stays connected for longer than its certificate lives, also where the
// coordinator could not renew when it was due.
func TestCertificateIsRenewedInALongSession(t *testing.T) {
	virtual(t, func(t *testing.T) {
		r := newRig(t)
		id := r.identity()
		id.Chain = r.c.Mesh.NodeChainFrom(r.keys.Node.Public(), time.Now().Add(2*time.Hour-controltest.Life/2))
		if err := r.dir.SaveIdentity(id); err != nil {
			t.Fatal(err)
		}
		old := string(id.Chain[0])
		s := r.begin().c.Next()
		r.send(s, controltest.Current())
		r.c.Certify(func(key.NodePublic) [][]byte { return nil })
		after := func(d time.Duration) {
			for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(time.Minute) {
				r.send(s, controltest.Heartbeat())
			}
		}
		after(2 * time.Hour)
		r.c.Certify(r.c.Mesh.NodeChain)
		after(2 * time.Hour)
		s.End(nil)
		r.c.Next()
		synctest.Wait()
		if kept, err := r.dir.Identity(); err != nil || string(kept.Chain[0]) == old {
			t.Fatalf("not renewed in a session that went on for four hours: %v", err)
		}
		r.stop()
	})
}

// A chain that TLS cannot show would lock the node out for good.
func TestBadCertificateIsNotTaken(t *testing.T) {
	stranger := key.NewNode()
	for name, chain := range map[string]func(*controltest.Mesh) [][]byte{
		"none":            func(*controltest.Mesh) [][]byte { return nil },
		"rubbish":         func(*controltest.Mesh) [][]byte { return [][]byte{[]byte("x")} },
		"for another key": func(m *controltest.Mesh) [][]byte { return m.NodeChain(stranger.Public()) },
		"too long": func(m *controltest.Mesh) [][]byte {
			c := m.NodeChain(stranger.Public())
			return [][]byte{c[0], c[1], c[1], c[1], c[1]}
		},
	} {
		t.Run(name, func(t *testing.T) {
			virtual(t, func(t *testing.T) {
				r := newRig(t)
				id := r.identity()
				id.Chain = r.c.Mesh.NodeChainFrom(r.keys.Node.Public(), time.Now().Add(-controltest.Life))
				if err := r.dir.SaveIdentity(id); err != nil {
					t.Fatal(err)
				}
				r.c.Certify(func(key.NodePublic) [][]byte { return chain(r.c.Mesh) })
				for range 3 {
					s := nextWithin(t, r.started(), time.Minute)
					r.send(s, controltest.Current())
					s.End(nil)
				}
				if kept, err := r.dir.Identity(); err != nil || string(kept.Chain[0]) != string(id.Chain[0]) {
					t.Fatal("it was kept", err)
				}
			})
		})
	}
}

func TestLooksUpRules(t *testing.T) {
	virtual(t, func(t *testing.T) {
		r := newRig(t).begin()
		found, err := r.follower.LookupRules(t.Context(), []string{"web"}, 5)
		if err != nil || len(found) != 1 || found[0].Line != 7 {
			t.Fatal(found, err)
		}
		r.c.Cut(true)
		if _, err := r.follower.LookupRules(t.Context(), []string{"web"}, 5); err == nil {
			t.Fatal("nobody answers, and there is an answer")
		}
	})
}
