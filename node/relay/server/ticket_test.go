package server_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cordonmesh/cordon/coordinator/wire/key"
	"github.com/cordonmesh/cordon/node/relay"
	"github.com/cordonmesh/cordon/node/relay/relaytest"
	"github.com/cordonmesh/cordon/node/relay/server"
)

// A connection ends with its ticket, and goes on without a gap if a newer one
// came in time.
func TestConnectionLastsAsLongAsTheTicket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := relaytest.NewMesh()
		s := relaytest.New(t, server.Config{}, m)
		brief, renewed := m.Connect(t, relaytest.Pipe(s)), m.Connect(t, relaytest.Pipe(s))
		brief.Up(t)
		renewed.Up(t)
		for _, n := range []*relaytest.Node{brief, renewed} {
			if err := n.SetTicket(m.Ticket(n.Public(), 10*time.Minute)); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(9 * time.Minute)
		if err := renewed.SetTicket(m.Ticket(renewed.Public(), time.Hour)); err != nil {
			t.Fatal(err)
		}
		if len(brief.States)+len(renewed.States) != 0 {
			t.Fatal("ended before its time")
		}
		time.Sleep(time.Minute)
		var refused *relay.RefusedError
		if err := brief.Down(t); !errors.As(err, &refused) || refused.Code != relay.BadTicket {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if s.Stats().Clients != 1 || len(renewed.States) != 0 {
			t.Fatal("a renewed ticket did not count", s.Stats())
		}
		if err := brief.SetTicket(m.Ticket(brief.Public(), time.Hour)); err != nil {
			t.Fatal(err)
		}
		brief.Up(t)
	})
}

// A ticket that comes while a connection is made counts on it.
func TestTicketThatComesMeanwhileCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := relaytest.NewMesh()
		s := relaytest.New(t, server.Config{}, m)
		open, k := relaytest.Pipe(s), key.NewNode()
		n := m.ConnectAs(t, k, relay.NewInstance(), func(ctx context.Context) (*relay.Stream, error) {
			time.Sleep(5 * time.Second)
			return open(ctx)
		})
		for i, life := range []time.Duration{10 * time.Minute, time.Hour} {
			time.Sleep(time.Duration(i) * 3 * time.Second) // the second comes in the second attempt
			if err := n.SetTicket(m.Ticket(k.Public(), life)); err != nil {
				t.Fatal(err)
			}
			if i == 0 {
				n.Up(t)
				n.Redial()
				n.Down(t)
			}
		}
		n.Up(t)
		time.Sleep(15 * time.Minute)
		if len(n.States) != 0 {
			t.Fatal("ended with the older ticket:", (<-n.States).Err)
		}
	})
}

// A ticket of somebody else does not prolong a connection: it ends it.
func TestRenewalIsJudgedLikeATicket_A35(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, other := relaytest.NewMesh(), relaytest.NewMesh()
		s := relaytest.New(t, server.Config{}, m, other)
		k := key.NewNode()
		for name, ticket := range map[string]func(key.NodePublic) []byte{
			"another node's":   func(key.NodePublic) []byte { return m.Ticket(k.Public(), time.Hour) },
			"of another mesh":  func(n key.NodePublic) []byte { return other.Ticket(n, time.Hour) },
			"over":             func(n key.NodePublic) []byte { return m.Ticket(n, -time.Second) },
			"not a ticket":     func(key.NodePublic) []byte { return []byte("x") },
			"longer than any":  func(key.NodePublic) []byte { return make([]byte, 5000) },
			"nothing of a one": func(key.NodePublic) []byte { return nil },
		} {
			r := dialRaw(t, s, m)
			go r.Write(relay.Append(nil, relay.TypeRenew, ticket(r.key.Public())))
			if kind, _, err := relay.ReadFrame(r, r.buf); err != nil || kind != relay.TypeRefused {
				t.Errorf("%s: type %#x, %v", name, kind, err)
			}
		}
	})
}

// Without any coordinator: nothing but a fingerprint and a clock is needed, for
// as long as the ticket says, though the relay began again meanwhile.
func TestRelayNeedsNoCoordinator_A37(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := relaytest.NewMesh()
		s := relaytest.New(t, server.Config{}, m)
		k := key.NewNode()
		for range 5 {
			n := m.ConnectAs(t, k, relay.NewInstance(), relaytest.Pipe(s))
			n.Up(t)
			n.Stop()
			relaytest.Stop(s)
			time.Sleep(2 * time.Hour)
			s = relaytest.New(t, server.Config{}, m)
		}
	})
}
