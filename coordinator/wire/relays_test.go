package wire_test

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/cordonmesh/cordon/coordinator/wire"
)

func offer() wire.RelayOffer {
	return wire.RelayOffer{Relays: []wire.RelayRecord{
		{Name: "annex", URL: "https://[2001:db8::1]:8443/a/b", STUN: 3478},
		{Name: "coordinator", URL: "https://mesh.clinic.example:8443/relay", Pin: wire.RelayPin{7}},
	}, Ticket: []byte("ticket"), End: now()}
}

func TestRelaysComeBackAsTheyWere(t *testing.T) {
	for _, want := range []wire.RelayOffer{{}, offer()} {
		b, err := proto.Marshal(want.Proto())
		if err != nil {
			t.Fatal(err)
		}
		m := new(wire.Relays)
		if err := proto.Unmarshal(b, m); err != nil {
			t.Fatal(err)
		}
		if got, err := wire.ParseRelays(m); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%+v, %v; want %+v", got, err, want)
		}
	}
}

func TestRelaysThatAreRefused(t *testing.T) {
	many := func(n int) (out []*wire.Relay) {
		for i := range n {
			out = append(out, &wire.Relay{Name: fmt.Sprintf("r%03d", i), Url: "https://r.example"})
		}
		return out
	}
	if _, err := wire.ParseRelays(&wire.Relays{Relays: many(wire.MaxRelays)}); err != nil {
		t.Error("as many as may be:", err)
	}
	one := func(change func(*wire.Relay)) func(*wire.Relays) {
		return func(m *wire.Relays) { change(m.Relays[0]) }
	}
	at := func(url string) func(*wire.Relays) { return one(func(r *wire.Relay) { r.Url = url }) }
	for what, change := range map[string]func(*wire.Relays){
		"too many":               func(m *wire.Relays) { m.Relays = many(wire.MaxRelays + 1) },
		"out of order":           func(m *wire.Relays) { m.Relays[0], m.Relays[1] = m.Relays[1], m.Relays[0] },
		"twice there":            func(m *wire.Relays) { m.Relays[1] = m.Relays[0] },
		"nil":                    func(m *wire.Relays) { m.Relays[0] = nil },
		"no name":                one(func(r *wire.Relay) { r.Name = "" }),
		"a name in upper case":   one(func(r *wire.Relay) { r.Name = "Annex" }),
		"a short pin":            one(func(r *wire.Relay) { r.Pin = make([]byte, 31) }),
		"a pin of zeros":         one(func(r *wire.Relay) { r.Pin = make([]byte, 32) }),
		"STUN beyond all ports":  one(func(r *wire.Relay) { r.Stun = 1 << 16 }),
		"no URL":                 at(""),
		"plain HTTP":             at("http://r.example"),
		"a user":                 at("https://u@r.example"),
		"a query":                at("https://r.example/relay?x"),
		"a fragment":             at("https://r.example/relay#x"),
		"a host in upper case":   at("https://R.example"),
		"port 0":                 at("https://r.example:0"),
		"a port of six digits":   at("https://r.example:655360"),
		"an empty port":          at("https://r.example:"),
		"a zone":                 at("https://[fe80::1%25eth0]:443"),
		"a blank in the path":    at("https://r.example/a%20b"),
		"another spelling":       at("https://r.example/%72elay/../x%2"),
		"a long URL":             at("https://r.example/" + strings.Repeat("x", 512)),
		"a long ticket":          func(m *wire.Relays) { m.Ticket = make([]byte, wire.MaxTicket+1) },
		"a ticket without end":   func(m *wire.Relays) { m.TicketEnd = 0 },
		"an end without ticket":  func(m *wire.Relays) { m.Ticket = nil },
		"an end before all time": func(m *wire.Relays) { m.TicketEnd = -1 },
		"an end after all time":  func(m *wire.Relays) { m.TicketEnd = 1 << 40 },
	} {
		m := offer().Proto()
		change(m)
		if got, err := wire.ParseRelays(m); !errors.Is(err, wire.ErrMalformed) || !reflect.DeepEqual(got, wire.RelayOffer{}) {
			t.Errorf("%s: %+v, %v", what, got, err)
		}
	}
}

// FuzzParseRelays takes bytes as they come from the network. What is taken is
// bounded, and survives its own encoding.
func FuzzParseRelays(f *testing.F) {
	b, err := proto.Marshal(offer().Proto())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add(append(b, b...))
	f.Fuzz(func(t *testing.T, b []byte) {
		m := new(wire.Relays)
		if proto.Unmarshal(b, m) != nil {
			return
		}
		got, err := wire.ParseRelays(m)
		if err != nil {
			return
		}
		if len(got.Relays) > wire.MaxRelays || len(got.Ticket) > wire.MaxTicket || got.End.After(time.Unix(1<<38, 0)) {
			t.Fatalf("%d relays, a ticket of %d bytes until %s", len(got.Relays), len(got.Ticket), got.End)
		}
		again, err := wire.ParseRelays(got.Proto())
		if err != nil || len(again.Relays) != len(got.Relays) || !again.End.Equal(got.End) {
			t.Fatalf("does not survive its own encoding: %+v, %v", again, err)
		}
	})
}
