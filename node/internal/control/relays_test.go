package control_test

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/node/internal/control"
	"github.com/cordonmesh/cordon/node/internal/control/controltest"
)

func TestRelaysAndTicketAreHandedUp(t *testing.T) {
	virtual(t, func(t *testing.T) {
		r := newRig(t).begin()
		s := r.c.Next()
		want := wire.RelayOffer{Relays: []wire.RelayRecord{{Name: "ward", URL: "https://relay.example/relay", Pin: wire.RelayPin{1}}},
			Ticket: []byte("ticket"), End: time.Now().Add(time.Hour).UTC().Truncate(time.Second)}
		r.send(s, controltest.Relays(want.Proto()))
		if len(r.offers) != 1 || !reflect.DeepEqual(r.offers[0], want) {
			t.Fatalf("handed up is %+v", r.offers)
		}
		if kept := r.dir.Relays(); !reflect.DeepEqual(kept, want) {
			t.Errorf("kept for a start without coordinator: %+v", kept)
		}
		// What is no relay changes nothing and parts nobody.
		bad := want.Proto()
		bad.Relays[0].Url = "http://relay.example"
		r.send(s, controltest.Relays(bad))
		if len(r.offers) != 1 || !alive(s) || len(r.inTrouble()) != 1 {
			t.Fatalf("handed up is %+v, in trouble %v", r.offers, r.trouble)
		}
		r.send(s, controltest.Relays(new(wire.Relays)))
		if len(r.offers) != 2 || !reflect.DeepEqual(r.offers[1], wire.RelayOffer{}) || len(r.inTrouble()) != 0 {
			t.Fatalf("handed up is %+v, in trouble %v", r.offers, r.trouble)
		}
	})
}

func TestHomeRelaysAreOfPeersAlone(t *testing.T) {
	virtual(t, func(t *testing.T) {
		r := newRig(t).begin()
		ehr, _ := controltest.Stranger("ehr", "100.64.0.2")
		other, _ := controltest.Stranger("other", "100.64.0.3")
		s := r.c.Next()
		r.send(s, r.full(r.at(controltest.At(1, 1, 5), ehr)), controltest.HomeRelay(other.ID, "ward"), controltest.HomeRelay(ehr.ID, "ward"))
		if want := map[string]control.Hint{ehr.ID: {Relay: "ward"}}; !reflect.DeepEqual(r.hints, want) {
			t.Fatalf("hints are %v, want %v", r.hints, want)
		}
		if kept := r.dir.Hints(); !reflect.DeepEqual(kept, control.Hints{ehr.ID: {Relay: "ward"}}) {
			t.Errorf("kept for a start without coordinator: %v", kept)
		}
		for _, bad := range []string{"Ward", "a b", "ward.example", strings.Repeat("x", 64)} {
			r.send(s, controltest.HomeRelay(ehr.ID, bad))
			if r.hints[ehr.ID].Relay != "ward" || !alive(s) {
				t.Fatalf("%q was taken", bad)
			}
		}
		r.send(s, controltest.HomeRelay(ehr.ID, ""))
		if r.hints[ehr.ID].Relay != "" {
			t.Fatal("a peer without a home keeps the old one:", r.hints)
		}
	})
}
