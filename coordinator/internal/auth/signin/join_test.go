package signin_test

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/coordinator/internal/auth/signin"
	"github.com/cordonmesh/cordon/coordinator/internal/registry"
	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/coordinator/wire/key"
)

func (h *hall) join(_ context.Context, m registry.Machine, who registry.Identity) (signin.Joined, error) {
	h.take(who.Standing)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.refuse != nil {
		return signin.Joined{}, h.refuse
	}
	h.joined = append(h.joined, m.Name+" "+who.Subject)
	return signin.Joined{Login: who.Login, Waits: true}, nil
}

// computer is a machine in no mesh, and its fingerprint.
func computer(name, from string) (registry.Machine, string) {
	k, tunnel, path := key.NewNode(), key.NewTunnel(), key.NewPath()
	return registry.Machine{Key: k.Public(), Name: name, OS: "linux", From: netip.MustParseAddr(from),
		Statement: wire.SignStatement(&k, tunnel.Public(), path.Public(), 1)}, wire.NodeID(k.Public())
}

func (h *hall) openJoin(m registry.Machine) signin.Opened {
	h.t.Helper()
	o, err := h.desk.OpenJoin(h.t.Context(), m)
	if err != nil {
		h.t.Fatal(err)
	}
	h.hide(o.ID)
	return o
}

// A17: whoever is led to a page by which a machine joins reads which one it is, by
// its fingerprint, where it asks from and that it would be theirs; proves anew who
// they are; and the first browser alone goes on with it.
func TestMachineJoinsByASignIn_A17(t *testing.T) {
	within(t, func(t *testing.T, h *hall) {
		m, print := computer("Ana-Laptop.local", "198.51.100.77")
		o, b := h.openJoin(m), h.browser()
		page := b.get("/login/" + o.ID)
		for _, want := range []string{"Let ana-laptop join as your computer?", o.Code, print, "198.51.100.77", "linux", "<strong>join as yours</strong>", "I did not begin this"} {
			h.says(page, http.StatusOK, want)
		}
		h.says(h.browser().get("/login/"+o.ID), http.StatusForbidden, "In use in another browser")
		if len(h.joined) > 0 {
			t.Fatal("it joined before anybody proved anything")
		}
		state := b.leave(o.ID)
		if !h.provider.last().Afresh || h.provider.last().Hint != "" {
			t.Errorf("the provider is asked %+v: whom it remembers has proved nothing", h.provider.last())
		}
		page = b.back(state, "code-ana")
		for _, want := range []string{"ana-laptop has joined", "ana@clinic.example", "waits until those who care for the network let it in", print} {
			h.says(page, http.StatusOK, want)
		}
		if got := h.outcome(print, o.ID); got.State != signin.Done || got.Joined.Login != "ana@clinic.example" || !got.Joined.Waits {
			t.Errorf("the machine is told %+v", got)
		}
		if len(h.joined) != 1 || h.joined[0] != "Ana-Laptop.local ana" || h.sessions() != 0 {
			t.Errorf("joined %v, %d sessions at nodes", h.joined, h.sessions())
		}
		if _, err := h.desk.Await(t.Context(), "n1", o.ID); !errors.Is(err, signin.ErrNotFound) {
			t.Errorf("another machine asks: %v", err)
		}
	})
}

// Whoever says that they did not begin it lets nothing in; what is refused, and what
// takes longer than ten minutes, ends too.
func TestJoinThatComesToNothing_A17(t *testing.T) {
	within(t, func(t *testing.T, h *hall) {
		m, print := computer("thief", "203.0.113.5")
		declined, b := h.openJoin(m), h.browser()
		b.submit(declined.ID, token(b.get("/login/"+declined.ID).body), "decline")
		if got := h.outcome(print, declined.ID); got.State != signin.Refused || !strings.Contains(got.Reason, "did not begin it") {
			t.Errorf("declined: %+v", got)
		}
		h.refuse = errors.New("an admin disabled ana@clinic.example")
		shut := h.openJoin(m)
		h.says(b.back(b.leave(shut.ID), "code-ana"), http.StatusOK, "thief has not joined")
		if got := h.outcome(print, shut.ID); got.State != signin.Refused || got.Reason != h.refuse.Error() {
			t.Errorf("refused: %+v", got)
		}
		late := h.openJoin(m)
		state := b.leave(late.ID)
		time.Sleep(signin.Life)
		b.back(state, "code-ana")
		if got := h.outcome(print, late.ID); got.State != signin.Expired || len(h.joined) != 0 {
			t.Errorf("late: %+v, joined %v", got, h.joined)
		}
		time.Sleep(signin.Life)
		_, _ = h.desk.Await(t.Context(), print, late.ID)
		if n := h.desk.Kept(); n != 0 {
			t.Errorf("%d things are kept of joins that are over", n)
		}
	})
}

// A06, A10: strangers have as many keys as they like. They get a bounded number of
// pages, at each address too, and take none from people at machines of the mesh.
func TestStrangersTakeNoPlaces_A10(t *testing.T) {
	crowd(t, func(t *testing.T, h *hall) {
		opened := func(from string, times int) (n int) {
			for range times {
				if _, placed := h.browser().visit(netip.MustParseAddr(from), true); placed {
					n++
				}
			}
			return n
		}
		h.desk.Narrow(100, 64)
		ours := h.open("n1")
		if n := opened("203.0.113.1", 50); n > 40 {
			t.Errorf("at one address %d pages are open", n)
		}
		all := 0
		for i := range 10 {
			all += opened(netip.AddrFrom4([4]byte{203, 0, 114, byte(i)}).String(), 10)
		}
		if all > 64 || h.desk.Kept() > 600 {
			t.Errorf("strangers opened %d pages, and %d things are kept", all, h.desk.Kept())
		}
		h.open("n2")
		b := h.browser()
		h.says(b.back(b.leave(ours.ID), "code-ana"), http.StatusOK, "is signed in as")
		time.Sleep(2 * time.Minute) // the flood's places are free for whoever comes next
		if opened("192.0.2.77", 1) != 1 {
			t.Error("a flood that is over holds the desk")
		}
	})
}

// What a machine says of itself is checked before a person is asked about it, and
// nothing joins where nobody said that machines may.
func TestJoinIsRefusedAtOnce_A12(t *testing.T) {
	within(t, func(t *testing.T, h *hall) {
		for name, change := range map[string]func(*registry.Machine){
			"no key":              func(m *registry.Machine) { m.Key = key.NodePublic{} },
			"another's statement": func(m *registry.Machine) { other, _ := computer("x", "192.0.2.1"); m.Statement = other.Statement },
			"no statement":        func(m *registry.Machine) { m.Statement = nil },
			"a cursor in its OS":  func(m *registry.Machine) { m.OS = "linux\x1b[2J" },
		} {
			m, _ := computer("x", "192.0.2.1")
			change(&m)
			if _, err := h.desk.OpenJoin(t.Context(), m); !errors.Is(err, registry.ErrInvalid) {
				t.Errorf("%s: %v", name, err)
			}
		}
		closed, err := signin.New(signin.Config{URL: self, Provider: h.provider, Node: h.node, Begin: h.begin})
		if err != nil {
			t.Fatal(err)
		}
		m, _ := computer("x", "192.0.2.1")
		if _, err := closed.OpenJoin(t.Context(), m); !errors.Is(err, signin.ErrNoJoin) {
			t.Errorf("where machines do not join: %v", err)
		}
	})
}
