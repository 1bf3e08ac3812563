package control_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/coordinator/wire/key"
	"github.com/cordonmesh/cordon/node/internal/control/controltest"
)

func TestFollowsFullAndDelta(t *testing.T) {
	virtual(t, func(t *testing.T) {
		r := newRig(t).begin()
		s := r.c.Next()
		if s.Caller != r.keys.Node.Public() {
			t.Fatal("the channel proves another key")
		}
		if q := s.Request; q.Revision != 0 || q.Incarnation != 0 || q.Epoch != 0 || len(q.Digest) != 0 || len(q.Instance) != 16 || q.Level != wire.Level {
			t.Fatalf("a node without a map asks with %v", q)
		}
		ehr, _ := controltest.Stranger("ehr", "100.64.0.2")
		pacs, _ := controltest.Stranger("pacs", "100.64.0.3")
		one, two := r.at(controltest.At(1, 1, 5), ehr), r.at(controltest.At(1, 1, 9), pacs)
		r.send(s, controltest.Keys(r.c.Mesh.MapKeyCertificate()), r.full(one))
		r.holds(controltest.At(1, 1, 5), "ehr")
		r.send(s, r.delta(one, two))
		r.holds(controltest.At(1, 1, 9), "pacs")
		if r.confirmed != 2 || r.lastContact() != nil || len(r.inTrouble()) != 0 {
			t.Fatal(r.confirmed, r.lastContact(), r.trouble)
		}
		r.follower.Acknowledge(two.Position())
		time.Sleep(time.Second)
		if got := r.c.Acknowledged(); len(got) != 1 || got[0].Revision != 9 {
			t.Fatal("acknowledged", got)
		}
		if got := r.c.Reports(); len(got) != 1 || got[0].Port != 51820 || got[0].Endpoints[0] != "192.0.2.7:51820" || got[0].Relay != "ward" {
			t.Fatal("reported", got)
		}
	})
}

func TestReconnectsWhereItStands(t *testing.T) {
	virtual(t, func(t *testing.T) {
		r := newRig(t).begin()
		ehr, _ := controltest.Stranger("ehr", "100.64.0.2")
		m := r.at(controltest.At(3, 2, 5), ehr)
		s := r.c.Next()
		r.send(s, r.full(m), r.lease(controltest.At(3, 4, 8), time.Now()))
		time.Sleep(time.Minute)
		s.End(nil)
		s = r.c.Next()
		digest := m.Digest()
		q := s.Request
		if q.Incarnation != 3 || q.Revision != 5 || q.Epoch != 4 || !slices.Equal(q.Digest, digest[:]) {
			t.Fatalf("it says that it stands at %v", q)
		}
		before := r.confirmed
		r.send(s, controltest.Current())
		if r.confirmed != before+1 || len(r.maps) != 1 {
			t.Fatal("Current must confirm the map, and give no other")
		}
	})
}

// What is refused leaves the map as it was; the session ends, and the next one
// asks for all.
func TestRefusesWhatIsNotItsMapAndAsksForAll(t *testing.T) {
	stranger, rogue := key.NewNode(), key.NewMap()
	tests := map[string]func(r *rig, held wire.Map) *wire.FollowResponse{
		"a gap": func(r *rig, held wire.Map) *wire.FollowResponse {
			skipped, next := r.at(controltest.At(1, 1, 7)), r.at(controltest.At(1, 1, 8))
			return r.delta(skipped, next)
		},
		"for another node": func(r *rig, held wire.Map) *wire.FollowResponse {
			return controltest.Signed(r.c.Mesh.Sign(wire.NewFull(r.c.Mesh.To(stranger.Public()), r.at(controltest.At(1, 1, 6)))))
		},
		"of another mesh": func(r *rig, held wire.Map) *wire.FollowResponse {
			other := controltest.NewMesh(r.t)
			to := wire.Recipient{Mesh: other.ID(), Node: r.to().Node}
			return controltest.Signed(r.c.Mesh.Sign(wire.NewFull(to, r.at(controltest.At(1, 1, 6)))))
		},
		"by a key without certificate": func(r *rig, held wire.Map) *wire.FollowResponse {
			return controltest.Signed(r.c.Mesh.SignWith(&rogue, wire.NewFull(r.to(), r.at(controltest.At(1, 1, 6)))))
		},
		"unsigned": func(r *rig, held wire.Map) *wire.FollowResponse {
			m := r.full(r.at(controltest.At(1, 1, 6)))
			m.GetSigned().Signature = nil
			return m
		},
		"with one bit turned": func(r *rig, held wire.Map) *wire.FollowResponse {
			m := proto.CloneOf(r.full(r.at(controltest.At(1, 1, 6))))
			m.GetSigned().Payload[len(m.GetSigned().Payload)-1] ^= 1
			return m
		},
	}
	for name, forge := range tests {
		t.Run(name, func(t *testing.T) {
			virtual(t, func(t *testing.T) {
				r := newRig(t).begin()
				ehr, _ := controltest.Stranger("ehr", "100.64.0.2")
				held := r.at(controltest.At(1, 1, 5), ehr)
				s := r.c.Next()
				r.send(s, r.full(held))
				r.send(s, forge(r, held))
				r.holds(held.Position(), "ehr")
				if alive(s) || r.lastContact() == nil {
					t.Fatal("the session goes on")
				}
				s = r.c.Next()
				if q := s.Request; name == "a gap" && (q.Revision != 0 || len(q.Digest) != 0 || q.Epoch != 1) {
					t.Fatalf("it asks with %v, want its epoch alone", q)
				}
				next := r.at(controltest.At(1, 1, 8))
				r.send(s, r.full(next))
				r.holds(next.Position())
			})
		})
	}
}

func TestDropsThePastAndGoesOn(t *testing.T) {
	virtual(t, func(t *testing.T) {
		r := newRig(t).begin()
		ehr, _ := controltest.Stranger("ehr", "100.64.0.2")
		old, held := r.at(controltest.At(1, 1, 5), ehr), r.at(controltest.At(1, 2, 9))
		s := r.c.Next()
		r.send(s, r.full(held), r.full(old))
		r.holds(held.Position())
		if !alive(s) {
			t.Fatal("a replay ends the session")
		}
		if got := r.inTrouble(); len(got) != 1 || !strings.Contains(r.trouble[got[0]], "restore") {
			t.Fatal("nobody is told of a coordinator that was set back:", r.trouble)
		}
		r.send(s, r.full(r.at(controltest.At(1, 2, 10))))
		if got := r.inTrouble(); len(got) != 0 {
			t.Fatal(got)
		}
	})
}

func TestMapKeysEndAndAreSucceeded(t *testing.T) {
	virtual(t, func(t *testing.T) {
		r := newRig(t).begin()
		s := r.c.Next()
		one := r.at(controltest.At(1, 1, 5))
		r.send(s, r.full(one), r.lease(one.Position(), time.Now()))
		successor := key.NewMap()
		next := wire.NewFull(r.to(), r.at(controltest.At(1, 1, 6)))
		certificate := r.c.Mesh.Certify(successor.Public(), time.Now(), time.Now().Add(3*controltest.Life))
		r.send(s, controltest.Keys(certificate), controltest.Signed(r.c.Mesh.SignWith(&successor, next)))
		r.holds(controltest.At(1, 1, 6))

		r.reboot() // the successor must be on the disk, or the map is not to be verified
		if r.loadErr != nil || r.start.Map.Revision != 6 {
			t.Fatal(r.start.Map.Position(), r.loadErr)
		}
		r.c.Next()
		r.close()
		time.Sleep(controltest.Life) // the first key has ended
		r.open()
		s = r.begin().c.Next()
		r.send(s, r.full(r.at(controltest.At(1, 1, 7))))
		if alive(s) || !strings.Contains(fmt.Sprint(r.lastContact()), "ended") {
			t.Fatal("a map by a key that ended:", r.lastContact())
		}
		s = r.c.Next()
		r.send(s, controltest.Signed(r.c.Mesh.SignWith(&successor, wire.NewFull(r.to(), r.at(controltest.At(1, 1, 7))))))
		r.holds(controltest.At(1, 1, 7))
		other := controltest.NewMesh(t)
		r.send(s, controltest.Keys(other.MapKeyCertificate()))
		if alive(s) {
			t.Fatal("a map key of another root was taken")
		}
	})
}

func TestLeaseMovesPolicyTime(t *testing.T) {
	virtual(t, func(t *testing.T) {
		r := newRig(t).begin()
		s := r.c.Next()
		m := r.at(controltest.At(1, 1, 5))
		if r.clock.Warm() {
			t.Fatal("policy time is known before any lease")
		}
		signed := time.Now().Add(20 * time.Second).Truncate(time.Millisecond)
		r.send(s, r.full(m), r.lease(m.Position(), signed))
		if got := r.clock.Now(); !got.Equal(signed) || len(r.leases) != 1 {
			t.Fatal("policy time is", got, "want", signed)
		}
		if !strings.Contains(string(r.readFile("policytime")), signed.UTC().Format(time.RFC3339)) {
			t.Fatal("the stamp was not saved")
		}
		r.send(s, r.lease(m.Position(), signed.Add(-time.Hour)))
		if !r.clock.Now().Equal(signed) || !alive(s) {
			t.Fatal("an older lease was taken, or ended the session")
		}
		// Ten years ahead by an accident must not end everything for good.
		for _, leap := range []time.Duration{25 * time.Hour, 10 * 365 * 24 * time.Hour} {
			r.send(s, r.lease(m.Position(), signed.Add(leap)))
			if !r.clock.Now().Equal(signed) || !alive(s) || len(r.inTrouble()) != 1 {
				t.Fatal("a leap was taken:", r.clock.Now(), r.trouble)
			}
		}
		r.send(s, r.lease(m.Position(), signed.Add(time.Second)))
		if len(r.inTrouble()) != 0 || len(r.leases) != 2 {
			t.Fatal(r.trouble, r.leases)
		}
	})
}

func TestHintsAreBoundedAndOnlyOfPeers(t *testing.T) {
	virtual(t, func(t *testing.T) {
		r := newRig(t).begin()
		ehr, _ := controltest.Stranger("ehr", "100.64.0.2")
		other, _ := controltest.Stranger("other", "100.64.0.3")
		s := r.c.Next()
		one := r.at(controltest.At(1, 1, 5), ehr)
		r.send(s, r.full(one), controltest.Hints(other.ID, "192.0.2.1:1"),
			controltest.Hints(ehr.ID, "rubbish", "192.0.2.2:0", "0.0.0.0:7", "255.255.255.255:7", "224.0.0.1:7", "[ff02::1]:7", "192.0.2.2:51820"))
		want := netip.MustParseAddrPort("192.0.2.2:51820")
		if len(r.hints) != 1 || !slices.Equal(r.hints[ehr.ID].Endpoints, []netip.AddrPort{want}) {
			t.Fatal(r.hints)
		}
		if got := r.dir.Hints(); len(got) != 1 || !slices.Equal(got[ehr.ID].Endpoints, []netip.AddrPort{want}) {
			t.Fatal("on disk", got)
		}
		var many []string
		for i := range 5000 {
			many = append(many, fmt.Sprintf("192.0.2.9:%d", i+1))
		}
		r.send(s, controltest.Hints(ehr.ID, many...))
		if got := len(r.hints[ehr.ID].Endpoints); got != 16 {
			t.Fatal(got, "endpoints of one peer")
		}
		two := r.at(controltest.At(1, 1, 6), other)
		r.send(s, r.delta(one, two), controltest.Hints(other.ID, "192.0.2.3:9"))
		if got := r.dir.Hints(); len(got) != 1 || len(got[other.ID].Endpoints) != 1 {
			t.Fatal("who is no peer any more is still on disk:", got)
		}
	})
}

func TestNothingConfirmsANodeWithoutAMap(t *testing.T) {
	virtual(t, func(t *testing.T) {
		r := newRig(t).begin()
		s := r.c.Next()
		r.send(s, controltest.Current(), controltest.Heartbeat())
		if r.confirmed != 0 || len(r.maps) != 0 || !alive(s) {
			t.Fatal("a node without a map was told that its map is right")
		}
	})
}

// A machine that has just started cannot tell how late it is, so it takes any
// time at which the key that signed it may sign, and no other.
func TestFirstLeaseLiesWithinItsKeysTime(t *testing.T) {
	virtual(t, func(t *testing.T) {
		r := newRig(t).begin()
		s := r.c.Next()
		m := r.at(controltest.At(1, 1, 5))
		r.send(s, r.full(m), r.lease(m.Position(), time.Now().Add(controltest.Life+time.Hour)))
		if r.clock.Warm() || len(r.leases) != 0 || len(r.inTrouble()) != 1 || !alive(s) {
			t.Fatal("taken:", r.leases, r.trouble)
		}
		r.send(s, r.lease(m.Position(), time.Now().Add(controltest.Life/2)))
		if !r.clock.Warm() || len(r.inTrouble()) != 0 {
			t.Fatal("refused:", r.trouble)
		}
	})
}
