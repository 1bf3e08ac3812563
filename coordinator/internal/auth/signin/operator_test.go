package signin_test

import (
	"crypto/sha256"
	"errors"
	"net/http"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/coordinator/internal/auth/signin"
)

// mine is the secret of the program that begins.
const mine = "a secret of the program that begins"

func (h *hall) operate() signin.Opened {
	h.t.Helper()
	o, err := h.desk.OpenOperator(ward(), sha256.Sum256([]byte(mine)))
	if err != nil {
		h.t.Fatal(err)
	}
	h.hide(o.ID)
	return o
}

// lastCode gives the code that a browser is shown at the end.
func (h *hall) lastCode(a answer) string {
	h.t.Helper()
	m := regexp.MustCompile(`Last code</dt><dd class="code">([B-Z]{4}-[B-Z]{4})<`).FindStringSubmatch(a.body)
	if m == nil {
		h.t.Fatalf("no last code is shown:\n%s", main(a.body))
	}
	return m[1]
}

func TestOperatorSignsIn(t *testing.T) {
	within(t, func(t *testing.T, h *hall) {
		o := h.operate()
		b := h.browser()
		page := b.get("/login/" + o.ID)
		h.says(page, http.StatusOK, "Continue only if you yourself typed")
		h.says(page, http.StatusOK, "<dd>198.51.100.7</dd>")
		h.says(page, http.StatusOK, o.Code)
		if _, err := h.desk.Prove(o.ID, o.Code, mine); !errors.Is(err, signin.ErrPending) {
			t.Errorf("before anybody proved anything: %v", err)
		}
		state := b.leave(o.ID)
		if !h.provider.last().Afresh {
			t.Error("whoever operates need not prove anew who they are")
		}
		end := b.back(state, "code-ana")
		h.says(end, http.StatusOK, "Tell this code to nobody")
		who, err := h.desk.Prove(o.ID, " "+strings.ToLower(strings.Replace(h.lastCode(end), "-", " ", 1))+" ", mine)
		if err != nil || who.Login != "ana@clinic.example" {
			t.Errorf("proved: %+v, %v", who, err)
		}
		if _, err := h.desk.Prove(o.ID, h.lastCode(end), mine); !errors.Is(err, signin.ErrNotFound) {
			t.Errorf("the proof is given twice: %v", err)
		}
		h.says(b.get("/login/"+o.ID), http.StatusOK, "used up")
		if h.sessions() != 0 {
			t.Error("an operator has a session at a node")
		}
	})
}

// A17: who is led through a sign-in that a thief began gives the thief nothing:
// the last code is in their own browser, and cannot be guessed.
func TestOperatorsProofNeedsTheLastCode_A17(t *testing.T) {
	within(t, func(t *testing.T, h *hall) {
		o, b := h.operate(), h.browser()
		end := b.back(b.leave(o.ID), "code-ana")
		h.says(h.browser().get("/login/"+o.ID), http.StatusForbidden, "")
		for _, guess := range []string{"", o.Code, "BCDF-GHJK"} {
			if _, err := h.desk.Prove(o.ID, guess, mine); !errors.Is(err, signin.ErrCode) {
				t.Errorf("guess %q: %v", guess, err)
			}
		}
		for range 9 { // who saw the page and its address, and not the terminal, does not even use them up
			if _, err := h.desk.Prove(o.ID, h.lastCode(end), "of somebody else"); !errors.Is(err, signin.ErrNotFound) {
				t.Errorf("to another program: %v", err)
			}
		}
		for range 2 {
			h.desk.Prove(o.ID, "", mine)
		}
		if _, err := h.desk.Prove(o.ID, h.lastCode(end), mine); !errors.Is(err, signin.ErrNotFound) {
			t.Errorf("after five guesses the code still counts: %v", err)
		}
	})
}

func TestOperatorIsRefused(t *testing.T) {
	within(t, func(t *testing.T, h *hall) {
		h.refuse = errors.New("ana has no role")
		o, b := h.operate(), h.browser()
		h.says(b.back(b.leave(o.ID), "code-ana"), http.StatusOK, "ana has no role")
		if _, err := h.desk.Prove(o.ID, "", mine); err == nil || !strings.Contains(err.Error(), "ana has no role") {
			t.Errorf("the program is told %v", err)
		}
		o = h.operate()
		time.Sleep(signin.Life)
		if _, err := h.desk.Prove(o.ID, "", mine); !errors.Is(err, signin.ErrNotFound) {
			t.Errorf("when its time is over: %v", err)
		}
		node := h.open("n1")
		for _, id := range []string{node.ID, "", strings.Repeat("A", 26)} {
			if _, err := h.desk.Prove(id, "", mine); !errors.Is(err, signin.ErrNotFound) {
				t.Errorf("what is no operator's sign-in: %v", err)
			}
		}
		for _, as := range []string{"n1", "", "operators at 198.51.100.7/32"} {
			if _, err := h.desk.Await(t.Context(), as, o.ID); as == "n1" && !errors.Is(err, signin.ErrNotFound) {
				t.Errorf("a node asks for an operator's sign-in: %v", err)
			}
		}
		if none, err := signin.New(signin.Config{URL: self, Provider: h.provider, Node: h.node, Begin: h.begin}); err != nil {
			t.Error(err)
		} else if _, err := none.OpenOperator(ward(), [32]byte{}); !errors.Is(err, signin.ErrNoOperators) {
			t.Errorf("where nobody operates by sign-in: %v", err)
		}
	})
}

// A10: strangers who flood the desk with operators' sign-ins take no place from
// nodes, nor from an operator who is on the way, or at the end of it.
func TestOperatorsTakeNoPlaceFromNodes_A10(t *testing.T) {
	within(t, func(t *testing.T, h *hall) {
		node, under, ended := h.open("n1"), h.operate(), h.operate()
		b := h.browser()
		end := b.back(b.leave(ended.ID), "code-ana")
		b.get("/login/" + under.ID)
		from := netip.MustParseAddr("2001:db8::1").As16()
		for i := range 2100 {
			from[6], from[7] = byte(i>>8), byte(i)
			_, _ = h.desk.OpenOperator(netip.AddrFrom16(from), [32]byte{})
		}
		if kept := h.desk.Kept(); kept > 4*2048+30 {
			t.Errorf("%d things are kept", kept)
		}
		h.says(h.browser().get("/login/"+node.ID), http.StatusOK, "ward-3")
		if _, err := h.desk.Open(t.Context(), "n2", ward(), signin.Request{}); err != nil {
			t.Errorf("a node comes too late: %v", err)
		}
		time.Sleep(2 * time.Minute)
		for i := range 300 {
			from[5], from[6], from[7] = 1, byte(i>>8), byte(i)
			_, _ = h.desk.OpenOperator(netip.AddrFrom16(from), [32]byte{})
		}
		h.says(b.get("/login/"+under.ID), http.StatusOK, "Continue only if")
		if who, err := h.desk.Prove(ended.ID, h.lastCode(end), mine); err != nil || who.Login == "" {
			t.Errorf("a flood took a proof that was waited for: %v", err)
		}
	})
}
