package node

import (
	"errors"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/node/internal/stepup"
	"github.com/cordonmesh/cordon/node/local"
)

// At a machine of several people nobody but root is told what another's programs do,
// also when nobody knows any more whose they were.
func TestNobodyIsToldOfAnothersFlows_A41(t *testing.T) {
	self := shared(time.Now())
	self.Sessions = append(self.Sessions, wire.Session{ID: "s3"})
	peer := netip.MustParseAddr("100.64.0.9")
	full := local.Status{}
	for _, from := range []string{"100.64.0.1", "100.64.2.1", "fd00::21", "100.64.2.2", "100.64.2.3"} {
		a := netip.MustParseAddr(from)
		full.Refusals = append(full.Refusals, local.Refusal{Src: netip.AddrPortFrom(a, 1), Dst: netip.AddrPortFrom(peer, 443)})
		full.Endings = append(full.Endings, local.Ending{Src: a, Dst: netip.AddrPortFrom(peer, 443)}, local.Ending{Src: peer, Dst: netip.AddrPortFrom(a, 443)})
	}
	for _, c := range []struct {
		who      asker
		sessions []string
		flows    []string
	}{
		{asker{all: true}, []string{"s1", "s2", "s3"}, []string{"100.64.0.1", "100.64.2.1", "fd00::21", "100.64.2.2", "100.64.2.3"}},
		{asker{seat: "1000"}, []string{"s1", "s3"}, []string{"100.64.0.1", "100.64.2.1", "fd00::21"}},
		{asker{seat: "1001"}, []string{"s2", "s3"}, []string{"100.64.0.1", "100.64.2.2"}},
		{asker{seat: "1002"}, []string{"s3"}, []string{"100.64.0.1"}},
		{asker{}, []string{"s3"}, []string{"100.64.0.1"}},
	} {
		s := local.Status{Refusals: slices.Clone(full.Refusals), Endings: slices.Clone(full.Endings)}
		c.who.narrow(&s, self)
		var flows, sessions []string
		for _, r := range s.Refusals {
			flows = append(flows, r.Src.Addr().String())
		}
		for _, one := range self.Sessions {
			if c.who.has(one) {
				sessions = append(sessions, one.ID)
			}
		}
		if !slices.Equal(flows, c.flows) || !slices.Equal(sessions, c.sessions) || len(s.Endings) != 2*len(flows) {
			t.Errorf("%+v sees %v of %d endings, and the sessions %v", c.who, flows, len(s.Endings), sessions)
		}
	}
}

// Where people cannot be told apart no sign-in is opened for one, neither by
// them nor because their programs were refused something.
func TestNoSignInWhereNobodyIsTied_A41(t *testing.T) {
	m := &mesh{world: &stackWorld{}}
	if _, err := m.beginStepUp(t.Context(), "1000", stepup.Proof{Afresh: true}); !errors.Is(err, errNoSeats) {
		t.Errorf("a step-up: %v, want %v", err, errNoSeats)
	}
	if _, err := m.openLogin(t.Context(), "1000", local.LoginRequest{}); !errors.Is(err, errNoSeats) {
		t.Errorf("a sign-in: %v, want %v", err, errNoSeats)
	}
}

// What a colleague may do is theirs to hear.
func TestNobodyIsToldWhatAnotherMay_A41(t *testing.T) {
	m := &mesh{node: &Node{}, state: wire.Map{Self: *shared(time.Now())}}
	for _, c := range []struct {
		who  asker
		from string
		may  bool
	}{
		{asker{all: true}, "100.64.2.2", true}, {asker{seat: "1001"}, "100.64.2.2", true}, {asker{seat: "1000"}, "100.64.2.1", true},
		{asker{seat: "1000"}, "100.64.2.2", false}, {asker{seat: "1002"}, "100.64.2.1", false}, {asker{}, "100.64.2.1", false},
		{asker{seat: "1000"}, "100.64.0.1", true},
	} {
		_, err := m.question(local.ExplainRequest{Src: c.from, Dst: "100.64.0.9", Port: 443}, c.who)
		if told := err == nil; told != c.may {
			t.Errorf("%+v asks for %s: %v", c.who, c.from, err)
		}
	}
}

// An address comes to others in time, and what was sent from it before is not theirs.
func TestNobodyIsToldOfWhoSatThereBefore_A41(t *testing.T) {
	now := time.Now()
	self := shared(now)
	self.Sessions[0].At = now
	at, machine, peer := self.Seats[0].Addresses[0], self.Addresses[0], netip.MustParseAddr("100.64.0.9")
	for _, c := range []struct {
		who      asker
		src, dst netip.Addr
		began    time.Time
		told     bool
	}{
		{asker{seat: "1000"}, at, peer, now, true}, {asker{seat: "1000"}, at, peer, now.Add(-time.Second), false},
		{asker{seat: "1000"}, peer, at, now.Add(-time.Second), false}, {asker{seat: "1000"}, peer, at, now.Add(time.Hour), true},
		{asker{seat: "1000"}, machine, peer, now.Add(-time.Hour), true}, {asker{all: true}, at, peer, now.Add(-time.Hour), true},
	} {
		if told := c.who.concern(self)(c.src, c.dst, c.began); told != c.told {
			t.Errorf("%+v is told of %s to %s at %s: %t", c.who, c.src, c.dst, c.began.Sub(now), told)
		}
	}
	s := local.Status{Refusals: []local.Refusal{{Src: netip.AddrPortFrom(at, 1), Dst: netip.AddrPortFrom(peer, 443), Time: now.Add(-time.Second)}}}
	if (asker{seat: "1000"}).narrow(&s, self); len(s.Refusals) != 0 {
		t.Errorf("told of %+v", s.Refusals)
	}
}
