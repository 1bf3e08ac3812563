package control_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/coordinator/wire/key"
	"github.com/cordonmesh/cordon/node/internal/control/controltest"
)

// rotation is a coordinator whose map key lives for a minute and a half, and has
// a successor each minute.
type rotation struct {
	*rig
	s   *controltest.Stream
	was wire.Map
}

// next sends a new key, and what it signs: a Delta, or a Full where the node asks
// for one, and a lease.
func (r *rotation) next() {
	r.t.Helper()
	time.Sleep(time.Minute)
	m := r.c.Mesh
	m.MapKey = key.NewMap()
	now := time.Now()
	keys := controltest.Keys(m.Certify(m.MapKey.Public(), now.Add(-time.Second), now.Add(90*time.Second)))
	is := r.was
	is.Revision++
	r.send(r.s, keys, r.delta(r.was, is), r.lease(is.Position(), now))
	if !alive(r.s) {
		r.s = r.c.Next()
		r.send(r.s, keys, r.full(is), r.lease(is.Position(), now))
	}
	r.holds(is.Position(), names(is)...)
	r.was = is
}

// revoked lets somebody go, and be in no map from then on.
func (r *rotation) revoke() {
	r.t.Helper()
	thief, _ := controltest.Stranger("thief", "100.64.0.9")
	r.was.Epoch++
	r.send(r.s, r.rig.revoke(r.was.Position(), thief))
}

// A node that outlives three hundred map keys still takes the next one. What it
// keeps on the disk verifies all the while, whenever the key was that signed it,
// and a restored coordinator is still given its revocations.
func TestMapKeysComeAndGo(t *testing.T) {
	virtual(t, func(t *testing.T) {
		r := &rotation{rig: newRig(t).begin()}
		r.s, r.was = r.c.Next(), r.at(controltest.At(1, 1, 5))
		r.send(r.s, r.full(r.was), r.lease(r.was.Position(), time.Now()))
		for i := range 300 {
			if r.next(); i%25 == 0 {
				r.revoke()
			}
		}
		id, err := r.dir.Identity()
		if err != nil {
			t.Fatal(err)
		}
		// The first key is valid for a hundred days; then one for each revocation, and
		// of the stored map as many as come until a new Full is asked for.
		if got := len(id.MapKeys); got < 14 || got > 30 {
			t.Error(got, "map keys are kept")
		}
		r.c.Cut(true)
		r.reboot()
		if r.loadErr != nil || r.start.Map.Position() != r.was.Position() || len(r.start.Revoked) != 12 {
			t.Fatal(r.start.Map.Position(), len(r.start.Revoked), r.loadErr)
		}
		r.c.Cut(false)
		r.c.Next().End(controltest.ErrAborted())
		r.c.Next()
		some := r.c.Surrendered()[0]
		trust := wire.NewTrust(id.Root)
		for _, c := range some.MapKeys {
			if err := trust.Add(c); err != nil {
				t.Fatal(err)
			}
		}
		if found, err := wire.ReplayRevocations(trust, some.Revocations); err != nil || len(found) != 12 {
			t.Fatal(fmt.Sprint(len(found), " surrendered: "), err)
		}
	})
}

// What a node could not read may be there again: a disk is mended, a file put
// back. No key is given up in the meantime.
func TestNoKeyIsForgottenOfWhatCouldNotBeRead(t *testing.T) {
	virtual(t, func(t *testing.T) {
		r := &rotation{rig: newRig(t).begin()}
		r.s, r.was = r.c.Next(), r.at(controltest.At(1, 1, 5))
		r.send(r.s, r.full(r.was), r.lease(r.was.Position(), time.Now()))
		r.next()
		r.revoke()
		good := r.readFile("revocations.log")
		r.writeFile("revocations.log", []byte("not what was written"))
		r.stop()
		if r.begin(); r.loadErr == nil { // `cordon down` and `cordon up`, in one daemon
			t.Fatal("the damage was not seen")
		}
		r.s = r.c.Next()
		for range 20 {
			r.next()
		}
		r.writeFile("revocations.log", good)
		if r.reboot(); r.loadErr != nil || len(r.start.Revoked) != 1 {
			t.Fatal(len(r.start.Revoked), r.loadErr)
		}
	})
}
