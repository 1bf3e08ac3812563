package stepup_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/node/internal/stepup"
	"github.com/cordonmesh/cordon/node/local"
)

func TestWanted(t *testing.T) {
	now := time.Date(2026, 11, 23, 14, 0, 0, 0, time.UTC)
	own, behind := netip.MustParseAddr("100.64.0.1"), netip.MustParseAddr("10.99.0.7")
	refused := func(from netip.Addr, ago time.Duration, needs ...string) local.Refusal {
		return local.Refusal{Outbound: true, Src: netip.AddrPortFrom(from, 40000), Time: now.Add(-ago), Needs: needs}
	}
	inbound := refused(own, 0, local.FactSignedIn)
	inbound.Outbound = false
	for _, c := range []struct {
		name        string
		all         []local.Refusal
		afresh, yes bool
	}{
		{"nothing was refused", nil, false, false},
		{"nobody is signed in", []local.Refusal{refused(own, 0, local.FactSignedIn)}, false, true},
		{"the proof is too old", []local.Refusal{refused(own, time.Minute, "mfa:within=1h0m0s")}, true, true},
		{"any proof", []local.Refusal{refused(own, 0, "mfa")}, true, true},
		{"both, in two flows", []local.Refusal{refused(own, 0, "mfa"), refused(own, 0, local.FactSignedIn)}, true, true},
		{"a person of some kind", []local.Refusal{refused(own, 0, "person:group:icu", local.FactSignedIn)}, false, true},
		{"no rule", []local.Refusal{refused(own, 0)}, false, false},
		{"long ago", []local.Refusal{refused(own, time.Minute+time.Second, "mfa")}, false, false},
		{"from behind this gateway", []local.Refusal{refused(behind, 0, "mfa")}, false, false},
		{"from a peer", []local.Refusal{inbound}, false, false},
		{"more than a sign-in gives", []local.Refusal{refused(own, 0, "mfa", "approval:r1")}, false, false},
		{"a fact of like name", []local.Refusal{refused(own, 0, "mfas"), refused(own, 0, "signed-in-twice")}, false, false},
	} {
		proof, yes := stepup.Wanted(&local.Status{Addresses: []netip.Addr{own}, Refusals: c.all}, now)
		if proof.Afresh != c.afresh || yes != c.yes || proof.ACR != "" {
			t.Errorf("%s: %+v, wanted %v", c.name, proof, yes)
		}
	}
}

// Whose programs have addresses of their own is offered nothing for what others', or
// the machine itself, were refused.
func TestWantedForOneOfSeveralPeople(t *testing.T) {
	now := time.Date(2026, 11, 23, 14, 0, 0, 0, time.UTC)
	machine, own := netip.MustParseAddr("100.64.0.1"), netip.MustParseAddr("100.64.7.1")
	s := &local.Status{Addresses: []netip.Addr{machine}, Sessions: []local.Session{{ID: "s1", Addresses: []netip.Addr{own}}}}
	for from, want := range map[netip.Addr]bool{machine: false, own: true, netip.MustParseAddr("100.64.7.2"): false} {
		s.Refusals = []local.Refusal{{Outbound: true, Src: netip.AddrPortFrom(from, 40000), Time: now, Needs: []string{"mfa"}}}
		if _, yes := stepup.Wanted(s, now); yes != want {
			t.Errorf("refused from %s: wanted %v", from, yes)
		}
	}
}

// The level is that for what was refused last: a proof has one.
func TestWantedLevel(t *testing.T) {
	now, own := time.Date(2026, 11, 23, 14, 0, 0, 0, time.UTC), netip.MustParseAddr("100.64.0.1")
	refused := func(ago time.Duration, need string) local.Refusal {
		return local.Refusal{Outbound: true, Src: netip.AddrPortFrom(own, 40000), Time: now.Add(-ago), Needs: []string{local.FactSignedIn, need}}
	}
	gold, silver, recent := "mfa:within=1h0m0s:amr=hwk|otp:acr=urn:clinic:gold", "mfa:acr=silver", "mfa:within=1h0m0s"
	for name, c := range map[string]struct {
		all  []local.Refusal
		want string
	}{
		"one":                  {[]local.Refusal{refused(0, gold)}, "urn:clinic:gold"},
		"the last of two":      {[]local.Refusal{refused(time.Second, gold), refused(0, silver)}, "silver"},
		"and in another order": {[]local.Refusal{refused(0, silver), refused(time.Second, gold)}, "silver"},
		"none for the last":    {[]local.Refusal{refused(time.Second, gold), refused(0, recent)}, ""},
		"long ago":             {[]local.Refusal{refused(time.Hour, gold), refused(time.Second, silver)}, "silver"},
		"too long to be told":  {[]local.Refusal{refused(0, "mfa:sha256:00ff")}, ""},
		"of another kind":      {[]local.Refusal{refused(0, "session:acr=gold")}, ""},
	} {
		if proof, yes := stepup.Wanted(&local.Status{Addresses: []netip.Addr{own}, Refusals: c.all}, now); !yes || !proof.Afresh || proof.ACR != c.want {
			t.Errorf("%s: %+v, %v", name, proof, yes)
		}
	}
}
