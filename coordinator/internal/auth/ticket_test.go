package auth_test

import (
	"errors"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/coordinator/internal/auth"
	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/coordinator/wire/key"
)

func TestRelayTicketOpensWithTheRootsFingerprint(t *testing.T) {
	a, _, folder := create(t)
	roots := []key.Fingerprint{a.Fingerprint()}
	node := key.NewNode()
	ticket, end := a.RelayTicket(node.Public(), 7*day, noon)
	if !end.Equal(noon.Add(7 * day)) {
		t.Errorf("it ends at %s", end)
	}
	for _, at := range []time.Time{noon.Add(-12 * time.Hour), noon, end.Add(-time.Second)} {
		p, err := wire.OpenRelayTicket(ticket, roots, at)
		if err != nil || p.Node != node.Public() || !p.NotAfter.Equal(end) {
			t.Errorf("at %s: %+v, %v", at, p, err)
		}
	}
	if _, err := wire.OpenRelayTicket(ticket, roots, end); !errors.Is(err, wire.ErrTicket) {
		t.Errorf("at its end: %v", err)
	}
	// With the root away nothing renews the map key, and no ticket outlives it.
	late, err := auth.Load(folder, noon)
	must(t, err)
	last := noon.Add(364 * day)
	ticket, end = late.RelayTicket(node.Public(), 7*day, last)
	if !end.Before(noon.Add(366*day)) || !end.After(last) {
		t.Errorf("a map key of a year signs until %s", end)
	}
	if _, err := wire.OpenRelayTicket(ticket, roots, end.Add(-time.Second)); err != nil {
		t.Error(err)
	}
}
