package main

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/node/local"
)

// At a machine of several people it is said with which addresses somebody's programs
// speak, and to root whose account a session is.
func TestSharedMachine(t *testing.T) {
	d := newDesk(t)
	one, two := ada("s1", 2*time.Hour), ada("s2", 3*time.Hour)
	one.Account, one.Addresses = "0", []netip.Addr{netip.MustParseAddr("100.64.7.1"), netip.MustParseAddr("fd00::71")}
	two.Account, two.Addresses = "4000000000", []netip.Addr{netip.MustParseAddr("100.64.7.2")}
	d.answers[local.PathSessions] = local.SessionsResponse{SignIn: true, Shared: true, Sessions: []local.Session{one, two}}
	status, out, errs := d.run(t, "whoami")
	if want := ", by otp+pwd (loa2), for the account root, with 100.64.7.1 and fd00::71\n"; status != 0 || errs != "" || !strings.Contains(out, want) {
		t.Errorf("whoami: status %d, %s%s, want %s", status, out, errs, want)
	}
	if _, out, _ = d.run(t, "sessions"); !strings.Contains(out, "ACCOUNT") || !strings.Contains(out, "root     ") || !strings.Contains(out, "4000000000  100.64.7.2\n") {
		t.Errorf("sessions: %s", out)
	}
	d.answers[local.PathSessions] = local.SessionsResponse{SignIn: true, Shared: true}
	if status, _, errs := d.run(t, "whoami"); status != 1 || errs != "cordon: you are not signed in: `cordon login`\n" {
		t.Errorf("whoami of nobody: status %d, %s", status, errs)
	}
	d.answers[local.PathStatus] = local.Status{State: local.StateRunning, Name: "ward", Shared: true, SignedOut: true, SignIn: true}
	if _, out, _ := d.run(t, "status"); !strings.Contains(out, "you are not signed in: `cordon login`\n") {
		t.Errorf("status: %s", out)
	}
}

// `up` says whether a machine is shared only where it was told so.
func TestUpShared(t *testing.T) {
	d := newDesk(t)
	d.answers[local.PathStatus] = local.Status{State: local.StateStopped}
	d.answers[local.PathUp] = local.Status{State: local.StateRunning}
	for args, want := range map[string]string{"up": "/v1/up {}", "up --shared": `/v1/up {"shared":true}`, "up --shared=false": `/v1/up {"shared":false}`} {
		if status, _, errs := d.run(t, strings.Fields(args)...); status != 0 {
			t.Errorf("%s: %s", args, errs)
		}
		if got := d.said(); !strings.HasSuffix(got, want) {
			t.Errorf("%s asks %s, want %s", args, got, want)
		}
	}
	if status, _, errs := d.run(t, "up", "--shared", "--coordinator", "https://c.example"); status != 1 || !strings.Contains(errs, "a shared one is nobody's") {
		t.Errorf("joined by somebody's sign-in: status %d, %s", status, errs)
	}
}

// What opens by a sign-in at a machine of several people is what one's own programs
// were refused.
func TestLinkIsForOnesOwnFlows(t *testing.T) {
	own, machine := netip.MustParseAddr("100.64.7.1"), netip.MustParseAddr("100.64.0.1")
	s := &local.Status{Addresses: []netip.Addr{machine}, Login: &local.Login{URL: "https://c.example/l1"},
		Sessions: []local.Session{{ID: "s1", Account: "1000", Addresses: []netip.Addr{own}}}}
	for from, want := range map[netip.Addr]bool{own: true, machine: false} {
		r := local.Refusal{Outbound: true, Src: netip.AddrPortFrom(from, 40000), Needs: []string{"mfa"}}
		if got := opens(s, r); got != want {
			t.Errorf("refused from %s: the link opens it: %v", from, got)
		}
	}
}
