package signin_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/coordinator/internal/auth/signin"
)

// flood opens sign-ins at a node as fast as it may, and gives those that opened.
func (h *hall) flood(node string, from netip.Addr, times int) (all []signin.Opened) {
	for range times {
		if o, err := h.desk.Open(h.t.Context(), node, from, signin.Request{}); err == nil {
			all = append(all, o)
		} else if !errors.Is(err, signin.ErrBusy) {
			h.t.Fatal(err)
		}
	}
	return all
}

func (h *hall) alive(node string, all []signin.Opened) (n int) {
	ctx, cancel := canceled(h.t)
	defer cancel()
	for _, o := range all {
		if _, err := h.desk.Await(ctx, node, o.ID); !errors.Is(err, signin.ErrNotFound) {
			n++
		}
	}
	return n
}

// A node has a few places. Its newest sign-ins have them, unless somebody is at
// the page of an older one.
func TestPlacesOfANode_A10(t *testing.T) {
	within(t, func(t *testing.T, h *hall) {
		b := h.browser()
		first := h.open("n1")
		b.get("/login/" + first.ID)
		all := h.flood("n1", ward(), 30)
		if len(all) != 30 || h.alive("n1", all) != 15 || h.alive("n1", all[29:]) != 1 {
			t.Errorf("%d of 30 opened, %d alive", len(all), h.alive("n1", all))
		}
		h.says(b.back(b.leave(first.ID), "code-ana"), http.StatusOK, "is signed in as")
	})
}

// What has ended goes before what its person may open yet.
func TestEndedSigninsGoFirst(t *testing.T) {
	within(t, func(t *testing.T, h *hall) {
		b := h.browser()
		waiting, done := h.open("n1"), h.open("n1")
		b.back(b.leave(done.ID), "code-ana")
		time.Sleep(time.Second)
		newer := h.flood("n1", ward(), 15)
		if h.alive("n1", newer) != 15 || h.alive("n1", []signin.Opened{waiting}) != 1 || h.alive("n1", []signin.Opened{done}) != 0 {
			t.Error("a sign-in that waits gives way to one that has ended")
		}
		h.flood("n1", ward(), 1)
		if h.alive("n1", newer) != 15 || h.alive("n1", []signin.Opened{waiting}) != 0 {
			t.Error("a newer one goes before the oldest")
		}
	})
}

// Who is at a page keeps the place: when all are taken so, the node has to wait.
func TestNodeWhosePlacesAreTaken(t *testing.T) {
	within(t, func(t *testing.T, h *hall) {
		for _, o := range h.flood("n1", ward(), 16) {
			h.browser().get("/login/" + o.ID)
		}
		if _, err := h.desk.Open(t.Context(), "n1", ward(), signin.Request{}); !errors.Is(err, signin.ErrBusy) {
			t.Errorf("a seventeenth: %v", err)
		}
		h.open("n2")
		time.Sleep(signin.Life)
		h.open("n1")
	})
}

// A node that begins one after the other is paced, and others are not.
func TestNodeThatBeginsTooOften_A10(t *testing.T) {
	within(t, func(t *testing.T, h *hall) {
		if n := len(h.flood("n1", ward(), 500)); n < 20 || n > 60 {
			t.Errorf("%d of 500 sign-ins of one moment opened", n)
		}
		h.open("n2")
		time.Sleep(30 * time.Second)
		if n := len(h.flood("n1", ward(), 500)); n < 3 || n > 12 {
			t.Errorf("%d more after 30 s", n)
		}
	})
}

// What is refused for its address's sake costs its node nothing.
func TestRefusedSigninTakesNoPlace(t *testing.T) {
	within(t, func(t *testing.T, h *hall) {
		full, home := netip.MustParseAddr("203.0.113.5"), netip.MustParseAddr("203.0.113.6")
		mine := h.flood("n1", home, 16)
		for _, id := range h.many(256) {
			h.flood(id, full, 16)
		}
		if len(h.flood("n1", full, 5)) != 0 || h.alive("n1", mine) != 16 {
			t.Errorf("%d of 16 are left", h.alive("n1", mine))
		}
	})
}

// many adds nodes, one for each place that a flood needs.
func (h *hall) many(n int) (ids []string) {
	for i := range n {
		id := fmt.Sprintf("m%d", i)
		h.setNode(signin.Node{ID: id, Name: id})
		ids = append(ids, id)
	}
	return ids
}

// A flood from one address, by many nodes, takes no place from another; and the
// address has places again when its patience is over.
func TestPlacesOfAnAddress_A10(t *testing.T) {
	within(t, func(t *testing.T, h *hall) {
		flood, calm := netip.MustParseAddr("203.0.113.5"), netip.MustParseAddr("203.0.113.6")
		mine, err := h.desk.Open(t.Context(), "n1", calm, signin.Request{})
		if err != nil {
			t.Fatal(err)
		}
		opened := 0
		for _, id := range h.many(260) {
			opened += len(h.flood(id, flood, 16))
		}
		if opened < 3000 || opened > 4500 {
			t.Errorf("%d sign-ins of one address", opened)
		}
		if len(h.flood("m0", flood, 1)) != 1 {
			t.Error("a node may not begin again in place of its own older sign-in")
		}
		if h.alive("n1", []signin.Opened{mine}) != 1 || len(h.flood("n1", calm, 3)) != 3 {
			t.Error("another address pays for it")
		}
		if len(h.flood("n2", flood, 1)) != 0 {
			t.Error("the address has no bound")
		}
		time.Sleep(time.Minute)
		if len(h.flood("n2", flood, 1)) != 1 {
			t.Error("sign-ins that nobody opened hold the address for longer than a minute")
		}
	})
}

// In IPv6 an address is a whole /64, which one machine has; an IPv4 address is
// itself, however it is written.
func TestWhatCountsAsOneAddress_A10(t *testing.T) {
	within(t, func(t *testing.T, h *hall) {
		for name, from := range map[string]func(i uint16) netip.Addr{
			"a /64": func(i uint16) netip.Addr {
				a := netip.MustParseAddr("2001:db8::").As16()
				binary.BigEndian.PutUint16(a[14:], i)
				return netip.AddrFrom16(a)
			},
			"IPv4 and IPv4 in IPv6": func(i uint16) netip.Addr {
				a := netip.MustParseAddr("203.0.113.77")
				if i%2 == 1 {
					a = netip.AddrFrom16(a.As16())
				}
				return a
			},
		} {
			opened := 0
			for i, id := range h.many(260) {
				opened += len(h.flood(id, from(uint16(i)), 16))
			}
			if opened < 3000 || opened > 4500 {
				t.Errorf("%s: %d sign-ins", name, opened)
			}
			time.Sleep(15 * time.Minute)
		}
	})
}

// The desk as a whole is bounded, and bound sign-ins outlive any flood.
func TestPlacesOfTheDesk_A10(t *testing.T) {
	within(t, func(t *testing.T, h *hall) {
		b := h.browser()
		mine := h.open("n1")
		b.get("/login/" + mine.ID)
		opened := 0
		for i, id := range h.many(516) {
			opened += len(h.flood(id, netip.AddrFrom4([4]byte{10, byte(i / 200), byte(i), 1}), 16))
		}
		if opened < 6000 || opened > 8500 {
			t.Errorf("%d sign-ins in all", opened)
		}
		h.says(b.back(b.leave(mine.ID), "code-ana"), http.StatusOK, "is signed in as")
		time.Sleep(time.Minute)
		if len(h.flood("n2", ward(), 1)) != 1 {
			t.Error("a flood that is over holds the desk")
		}
	})
}

// Done sign-ins make place first: a hospital behind one address signs in on.
func TestDoneSigninsMakePlace(t *testing.T) {
	within(t, func(t *testing.T, h *hall) {
		h.unjudged = true
		for _, id := range h.many(120) {
			o, err := h.desk.Open(t.Context(), id, ward(), signin.Request{})
			if err != nil {
				t.Fatalf("%s: %v", id, err)
			}
			b := h.browser()
			b.from = "[2001:db8:0:" + id[1:] + "::1]:1000"
			b.back(b.leave(o.ID), "code-ana")
		}
		if h.sessions() != 120 {
			t.Errorf("%d sessions", h.sessions())
		}
	})
}

// A08: pages are given in measure to the address of the connection, whatever a
// header says; one that asks too often takes nothing from another.
func TestAddressThatAsksTooOften_A08(t *testing.T) {
	within(t, func(t *testing.T, h *hall) {
		h.unjudged = true
		loud, quiet := h.browser(), h.browser()
		quiet.from = "192.0.2.10:1"
		served := 0
		for i := range 600 {
			loud.from = fmt.Sprintf("192.0.2.9:%d", 1000+i)
			loud.send.Set("X-Forwarded-For", fmt.Sprintf("192.0.2.%d", i%250))
			loud.send.Set("Forwarded", "for=203.0.113.9")
			a := loud.do(http.MethodHead, "/login/AAAAAAAAAAAAAAAAAAAAAAAAAA", "")
			if a.Code == http.StatusOK {
				served++
			} else if a.Code != http.StatusTooManyRequests || a.Header().Get("Retry-After") == "" {
				t.Fatalf("%d", a.Code)
			}
		}
		if served < 100 || served > 500 {
			t.Errorf("%d of 600 are served", served)
		}
		h.says(loud.get("/login/x"), http.StatusTooManyRequests, "Too many requests")
		loud.from = "[::ffff:192.0.2.9]:443" // the same, written otherwise
		h.says(loud.get("/login/x"), http.StatusTooManyRequests, "Too many requests")
		h.says(quiet.get("/login/x"), http.StatusNotFound, "No such page")
		time.Sleep(time.Minute)
		h.says(loud.get("/login/x"), http.StatusNotFound, "No such page")
		loud.from = "no address"
		h.says(loud.get("/login/x"), http.StatusNotFound, "No such page")
	})
}

// A shift signs in behind one address, ten a second, each of whom takes
// twenty seconds, while somebody there asks for pages without end.
func TestShiftBehindOneAddressSignsIn_A08(t *testing.T) {
	within(t, func(t *testing.T, h *hall) {
		h.unjudged = true
		type person struct {
			*browser
			state string
		}
		const shift, later = 400, 200
		var people []person
		nodes, stranger := h.many(shift), h.browser()
		for i := range shift + later {
			if i < shift {
				p := person{browser: h.browser()}
				p.state = p.leave(h.open(nodes[i]).ID)
				people = append(people, p)
			}
			if i >= later {
				people[i-later].back(people[i-later].state, "code-ana")
			}
			stranger.do(http.MethodHead, "/login/AAAAAAAAAAAAAAAAAAAAAAAAAA", "")
			stranger.do(http.MethodHead, "/login/callback?state=guessed", "")
			time.Sleep(100 * time.Millisecond)
		}
		if h.sessions() != shift {
			t.Errorf("%d of %d have signed in", h.sessions(), shift)
		}
	})
}

// The pages of one sign-in are bounded too: whoever knows its link.
func TestPagesOfOneSigninAreBounded_A08(t *testing.T) {
	within(t, func(t *testing.T, h *hall) {
		h.unjudged = true
		b, o := h.browser(), h.open("n1")
		served := 0
		for range 500 {
			if b.do(http.MethodHead, "/login/"+o.ID, "").Code == http.StatusOK {
				served++
			}
		}
		if served < 20 || served > 100 {
			t.Errorf("%d of 500 are served", served)
		}
		h.says(b.get("/login/x"), http.StatusNotFound, "No such page")
		time.Sleep(10 * time.Second)
		h.says(b.back(b.leave(o.ID), "code-ana"), http.StatusOK, "is signed in as")
	})
}

// A flood from very many addresses costs no memory without end: what was counted
// is forgiven rather.
func TestMetersAreBounded_A06(t *testing.T) {
	within(t, func(t *testing.T, h *hall) {
		h.unjudged = true
		loud, crowd := h.browser(), h.browser()
		for range 500 {
			loud.do(http.MethodHead, "/login/callback", "")
		}
		h.says(loud.get("/login/x"), http.StatusTooManyRequests, "")
		for i := range 2000 {
			crowd.from = netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}), 1).String()
			crowd.do(http.MethodHead, "/login/callback", "")
		}
		h.says(loud.get("/login/x"), http.StatusNotFound, "")
	})
}

// A clock that is set back locks nobody out, and gives nothing away.
func TestClockIsSetBack(t *testing.T) {
	within(t, func(t *testing.T, h *hall) {
		h.unjudged = true
		now := time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)
		desk, err := signin.New(signin.Config{URL: self, Provider: h.provider, Node: h.node, Begin: h.begin, Now: func() time.Time { return now }})
		if err != nil {
			t.Fatal(err)
		}
		h.desk = desk
		b := h.browser()
		h.says(b.get("/login/x"), http.StatusNotFound, "")
		now = now.Add(-time.Hour)
		served := 0
		for range 600 {
			if b.do(http.MethodHead, "/login/callback", "").Code == http.StatusOK {
				served++
			}
		}
		if served < 100 || served > 500 {
			t.Errorf("%d of 600 are served", served)
		}
	})
}

// One sign-in leads to the provider a few times.
func TestLeavingIsBounded(t *testing.T) {
	within(t, func(t *testing.T, h *hall) {
		o, b := h.open("n1"), h.browser()
		page := b.get("/login/" + o.ID)
		left := 0
		for range 30 {
			if b.submit(o.ID, token(page.body), "continue").Code == http.StatusOK {
				left++
			}
		}
		if left < 3 || left > 10 {
			t.Errorf("led to the provider %d times", left)
		}
		h.says(b.submit(o.ID, token(page.body), "continue"), http.StatusTooManyRequests, "too many times")
		if len(h.provider.attempts) > 10 {
			t.Errorf("the provider is asked for %d addresses", len(h.provider.attempts))
		}
		h.says(b.submit(o.ID, token(page.body), "decline"), http.StatusSeeOther, "")
		o, b = h.open("n1"), h.browser()
		h.provider.failing = errors.New("down")
		page = b.get("/login/" + o.ID)
		for range 30 {
			b.submit(o.ID, token(page.body), "continue")
		}
		if n := strings.Count(h.logged(), "gives no address"); n > 10 {
			t.Errorf("a provider that is down is asked %d times", n)
		}
	})
}

// Also the last of them counts.
func TestLastLeavingCounts(t *testing.T) {
	within(t, func(t *testing.T, h *hall) {
		o, b := h.open("n1"), h.browser()
		page := b.get("/login/" + o.ID)
		for range 30 {
			b.submit(o.ID, token(page.body), "continue")
		}
		h.says(b.back(h.provider.last().State, "code-ana"), http.StatusOK, "is signed in as")
	})
}

// RFC 8628 section 6.1: letters without vowels, easy to compare.
func TestCodes(t *testing.T) {
	within(t, func(t *testing.T, h *hall) {
		shape := regexp.MustCompile(`^[BCDFGHJKLMNPQRSTVWXZ]{4}-[BCDFGHJKLMNPQRSTVWXZ]{4}$`)
		seen := ""
		for _, o := range h.flood("n1", ward(), 40) {
			if !shape.MatchString(o.Code) || strings.Contains(o.URL, o.Code) {
				t.Errorf("code %q", o.Code)
			}
			seen += o.Code
		}
		for _, l := range "BCDFGHJKLMNPQRSTVWXZ" {
			if !strings.ContainsRune(seen, l) {
				t.Errorf("%c is never drawn", l)
			}
		}
	})
}

func canceled(t testing.TB) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx, cancel
}
