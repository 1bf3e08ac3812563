package node

import (
	"errors"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/coordinator/wire"
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
	if _, err := m.beginStepUp(t.Context(), "1000", true); !errors.Is(err, errNoSeats) {
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
