package signin_test

import (
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/coordinator/internal/auth/signin"
)

const mark = "__Host-cordon-mark"

// exhaust lets strangers open what pages they may, at the ward's address.
func (h *hall) exhaust() {
	h.t.Helper()
	for range 45 {
		h.browser().visit(ward(), false)
	}
}

// admitted tells whether a browser finds a place at the ward's address.
func (b *browser) admitted() bool {
	b.h.t.Helper()
	_, placed := b.visit(ward(), false)
	return placed
}

// A mark has few places, which are its person's, and counts for a month. What is no mark
// of this mesh, or none any more, is a stranger's.
func TestMarks_A10(t *testing.T) {
	crowd(t, func(t *testing.T, h *hall) {
		known := h.familiar()
		time.Sleep(time.Second)
		other := h.familiar()
		eve := h.browser()
		eve.back(eve.leave(h.open("n1").ID), "code-eve")
		value := known.jar[mark]
		if strings.Contains(value, "ana") {
			t.Errorf("a mark tells whose it is: %s", value)
		}
		h.exhaust()
		for name, forged := range map[string]string{"nothing": "", "dots": "..", "another person's": eve.jar[mark][:32] + value[32:],
			"later": strings.Replace(value, ".", ".9", 1), "cut": value[:len(value)-1], "longer": value + ".1"} {
			b := h.browser()
			if b.jar[mark] = forged; b.admitted() {
				t.Errorf("%s is a mark", name)
			}
		}
		for i := range 8 {
			if b := []*browser{known, other}[i%2]; !b.admitted() {
				t.Errorf("%d places of a person are too many", i+1)
			}
		}
		if known.admitted() || !eve.admitted() {
			t.Error("a person's places are not theirs")
		}
		time.Sleep(20 * time.Minute)
		value = eve.jar[mark]
		h.exhaust()
		if !eve.admitted() {
			t.Error("a mark counts for minutes")
		}
		time.Sleep(30*24*time.Hour - 20*time.Minute)
		h.exhaust()
		if eve.jar[mark] = value; eve.admitted() {
			t.Error("a mark counts for more than a month")
		}
	})
}

// Only who was let in gets a mark: the whole world may have accounts at the provider.
func TestWhoIsRefusedGetsNoMark_A10(t *testing.T) {
	within(t, func(t *testing.T, h *hall) {
		h.refuse = errors.New("nobody here")
		b := h.browser()
		b.back(b.leave(h.operate().ID), "code-eve")
		b.back(b.leave(h.open("n1").ID), "code-eve")
		if b.jar[mark] != "" {
			t.Error("a stranger with an account is known")
		}
		h.refuse = nil
		b.back(b.leave(h.operate().ID), "code-ana")
		if b.jar[mark] == "" {
			t.Error("who operates is not known")
		}
	})
}

// People of the coordinator's own get marks too.
func TestOwnPeopleGetMarks_A10(t *testing.T) {
	withPeople(t, func(t *testing.T, h *hall, _ *book) {
		b := h.browser()
		secret := b.setUp()
		o := h.operate()
		b.prove(o.ID, url.Values{"step": {"password"}})
		b.prove(o.ID, url.Values{"step": {"proof"}, "login": {ana}, "password": {phrase}, "code": {"000000"}})
		if b.jar[mark] != "" {
			t.Error("a wrong code makes a browser known")
		}
		b.prove(o.ID, url.Values{"step": {"proof"}, "login": {ana}, "password": {phrase}, "code": {codeOf(t, secret)}})
		h.exhaust()
		if !b.admitted() || h.browser().admitted() {
			t.Error("a person of the coordinator's own is not known")
		}
	})
}

// Who types a code at a page here keeps the place as who is at the provider does.
func TestWhoTypesACodeKeepsThePlace_A10(t *testing.T) {
	withPeople(t, func(t *testing.T, h *hall, _ *book) {
		h.unjudged = true
		b := h.browser()
		secret := b.setUp()
		b.jar = map[string]string{}
		h.desk.Narrow(2048, 64)
		o := h.outside(netip.MustParseAddr("203.0.1.0"), false)
		b.prove(o.ID, url.Values{"step": {"password"}})
		h.invade(1, 1, 7, false)
		h.invade(2, 7, 8, false)
		time.Sleep(50 * time.Second)
		h.invade(3, 1, 1, false)
		h.says(b.prove(o.ID, url.Values{"step": {"proof"}, "login": {ana}, "password": {phrase}, "code": {codeOf(t, secret)}}), http.StatusOK, "Tell this code to nobody")
	})
}

// A mark counts at the desk that gave it, and at the next that has its key.
func TestMarkOfAnotherDesk_A10(t *testing.T) {
	for name, c := range map[string]struct {
		first, next []byte
		known       bool
	}{
		"no keys": {nil, nil, false}, "another key": {[]byte("a key"), []byte("another key"), false}, "the same key": {[]byte("a key"), []byte("a key"), true},
	} {
		crowd(t, func(t *testing.T, h *hall) {
			desk := func(key []byte) {
				var err error
				h.desk, err = signin.New(signin.Config{URL: self, Provider: h.provider, Node: h.node, Begin: h.begin, Operator: h.operator, MarkKey: key})
				if err != nil {
					t.Fatal(err)
				}
			}
			desk(c.first)
			b := h.familiar()
			desk(c.next)
			if h.exhaust(); b.admitted() != c.known {
				t.Errorf("%s: known is %t", name, !c.known)
			}
		})
	}
}
