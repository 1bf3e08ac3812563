package distribute_test

import (
	"slices"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/coordinator/internal/registry"
	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/coordinator/wire/key"
)

const ticketLife = 6 * time.Hour

func (w *world) offered() []wire.RelayRecord {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.relays
}

func (w *world) offer(names ...string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.relays = nil
	for _, name := range names {
		w.relays = append(w.relays, wire.RelayRecord{Name: name, URL: "https://" + name + ".example/relay"})
	}
}

func (w *world) ticket(node key.NodePublic) ([]byte, time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	k, end := w.mapKeys[0], time.Now().Add(ticketLife).UTC().Truncate(time.Second)
	return wire.SignRelayTicket(&k.private, k.cert, w.root.Public(), wire.RelayPermit{Node: node, NotBefore: time.Now().Add(-time.Hour), NotAfter: end}), end
}

func (n *node) ticketEnd() time.Time {
	n.mu.Lock()
	defer n.mu.Unlock()
	return time.Unix(n.relays.TicketEnd, 0)
}

// knows fails unless the node was last told of these relays, with a ticket of
// its own that relays open now.
func (n *node) knows(t *testing.T, names ...string) {
	t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	o, err := wire.ParseRelays(n.relays)
	if err != nil || n.relays == nil {
		t.Fatalf("%v, %v", n.relays, err)
	}
	var got []string
	for _, r := range o.Relays {
		got = append(got, r.Name)
	}
	if !slices.Equal(got, names) {
		t.Fatalf("it knows relays %v, want %v", got, names)
	}
	if len(names) == 0 {
		return
	}
	p, err := wire.OpenRelayTicket(o.Ticket, []key.Fingerprint{n.w.root.Public().Fingerprint()}, time.Now())
	if err != nil || p.Node != n.key.Public() || !p.NotAfter.Equal(o.End) {
		t.Fatalf("its ticket until %s says %+v, %v", o.End, p, err)
	}
}

func TestRelaysAndATicketComeDown(t *testing.T) {
	play(t, twoPairs, func(t *testing.T, w *world) {
		n := join(w, "tag:a")[0]
		defer func() { n.disconnect() }()
		n.knows(t) // that there is no relay is said, too
		w.offer("annex", "ward")
		time.Sleep(2 * time.Minute)
		n.knows(t, "annex", "ward")
		if got := n.got("relays"); got != 2 {
			t.Errorf("it was told %d times, want once of each change", got)
		}
		n.disconnect()
		n.relays = nil
		n.connect()
		rest()
		n.knows(t, "annex", "ward")
		w.offer()
		time.Sleep(2 * time.Minute)
		n.knows(t)
		if n.got("relays") != 2 {
			t.Errorf("it got %v", n.order)
		}
	})
}

func TestTicketIsRenewedAtHalfOfItsLife(t *testing.T) {
	play(t, twoPairs, func(t *testing.T, w *world) {
		w.mu.Lock()
		w.mapKeys[0].cert = wire.SignMapKey(&w.root, wire.MapKey{Key: w.mapKeys[0].private.Public(),
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(100 * ticketLife), Replica: "one"})
		w.mu.Unlock()
		w.offer("ward")
		n := join(w, "tag:a")[0]
		defer n.disconnect()
		n.knows(t, "ward")
		begun := time.Now()
		time.Sleep(ticketLife/2 - 2*time.Minute)
		if n.got("relays") != 1 {
			t.Fatalf("before half of its life the ticket came %d times", n.got("relays"))
		}
		time.Sleep(4 * time.Minute)
		n.knows(t, "ward")
		if end := n.ticketEnd(); n.got("relays") != 2 || end.Before(begun.Add(ticketLife*3/2-5*time.Minute)) {
			t.Fatalf("after half of its life: %d tickets, the last until %s", n.got("relays"), end)
		}
		time.Sleep(3 * ticketLife / 2)
		if got := n.got("relays"); got != 5 {
			t.Errorf("after two lives of a ticket it was given %d", got)
		}
		n.knows(t, "ward")
	})
}

// Who waits for approval reaches nobody, and needs no relay until it is approved.
func TestRelaysAreForApprovedNodes(t *testing.T) {
	play(t, twoPairs, func(t *testing.T, w *world) {
		w.offer("ward")
		w.do(registry.CreateToken{ID: "held", Secret: registry.HashSecret("held"), Kind: registry.EnrolToken, Tags: []string{"tag:a"}, Uses: 1, NeedsApproval: true})
		n := newNode(w)
		e := n.enrolment()
		e.Secret = registry.HashSecret("held")
		w.do(e)
		n.connect()
		defer func() { n.disconnect() }()
		rest()
		n.knows(t)
		if len(n.relays.Ticket) != 0 {
			t.Error("it has a ticket")
		}
		w.do(registry.ApproveNode{Node: n.id})
		rest()
		n.knows(t, "ward")
	})
}
