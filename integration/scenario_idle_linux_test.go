package integration

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/integration/lab"
)

// sitting is a port for nurses who did something lately, another a thousand higher for
// what they leave open.
const sitting = 1004

// fed is an account's connection to the record system that the far end always writes
// to, and the account while it does not rest.
func (d *sharedDesk) fed(uid int, port uint16, rests *atomic.Bool) (f *streams, down *stream) {
	d.t.Helper()
	ctx, cancel := context.WithCancel(d.t.Context())
	f = &streams{cancel: cancel}
	d.t.Cleanup(f.stop)
	at := netip.AddrPortFrom(d.nodes["ehr"].Mesh4(), port)
	l := d.Host("ehr").Listen(at)
	defer l.Close()
	dialled, err := d.Host("desk").As(uid).Dial(ctx, "tcp", netip.Addr{}, at)
	if err != nil {
		d.t.Fatal(err)
	}
	accepted, err := l.Accept()
	if err != nil {
		d.t.Fatal(err)
	}
	down = f.add("TCP from %d", port)
	f.duplex(ctx, accepted, f.add("TCP to %d", port))
	f.duplexWhile(ctx, dialled, down, func() bool { return !rests.Load() })
	f.carry(d.t)
	return f, down
}

// Who rests for too long is cut off from what asks for activity, though the far end
// writes on and a colleague works at the same machine; nor does it come back when they
// do something again: they might be another. A sign-in opens it.
func (d *sharedDesk) endsForWhoRests(t *testing.T) {
	t.Helper()
	d.serve("ehr", sitting)
	session := d.signIn(nina, "nina")
	var rests atomic.Bool
	hers, screen := d.fed(nina, sitting+1000, &rests)
	his := d.flow(ben, bens+1000)
	rests.Store(true)
	left := time.Now()
	hers.ended(t, left.Add(conditionsIdle+time.Second))                            // what is told is told to the second
	if cut := time.Unix(0, screen.last.Load()).Sub(left); cut < conditionsIdle/4 { // of what she did last a slow machine may tell late
		t.Errorf("nina is cut off %s after she left, with %s in the policy", cut, conditionsIdle)
	}
	hers.stop()
	his.carry(t)
	his.stop()

	back := d.flow(nina, ninas+1000)   // idleness ended no more than what asks for activity
	time.Sleep(conditionsIdle * 2 / 5) // in which the machine tells of that
	var late net.Error
	if err := d.dial(nina, netip.Addr{}, sitting); err == nil || errors.As(err, &late) && late.Timeout() {
		t.Errorf("who comes back without a sign-in: %v, want a refusal at once", err)
	}
	back.stop()
	if again := d.signIn(nina, "nina"); again.ID != session.ID {
		t.Errorf("a sign-in after idleness is of session %s, and was of %s", again.ID, session.ID)
	}
	lab.Eventually(t, patience, "who signed in after idleness works on", func() (bool, string) {
		err := d.dial(nina, netip.Addr{}, sitting)
		return err == nil, fmt.Sprint(err)
	})
}
