package compile_test

import (
	"testing"
	"time"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/acl/compile"
	"github.com/cordonmesh/cordon/acl/policy"
)

// A device's key alone opens nothing for a person: with sign-in required, what the
// policy lets people do asks for it, whatever a break-glass waives; what it lets
// machines do does not, and what it forbids stays forbidden.
func TestPeopleMustBeSignedIn_A18(t *testing.T) {
	const both = `"grants": [{"src": ["ada@h", "tag:cart"], "dst": ["tag:ehr"], "ip": ["*"]}]`
	signed := func(m *compile.Mesh, in bool) *compile.Mesh {
		n := bedNode(1, "ada@h")
		if in {
			n.Facts = []acl.FactEnd{{Fact: policy.SignedInFact, Until: wardStart().Add(time.Hour)}}
		}
		m.Put(n)
		return m
	}
	check := func(what string, m *compile.Mesh, person bool) {
		t.Helper()
		for src, want := range map[int]bool{1: person, 2: true} {
			if got := opensTCP(m, bedAddr(src).String(), "100.64.0.3"); got != want {
				t.Errorf("%s: open from %d is %v", what, src, got)
			}
			checkBothEnds(t, what, m, src, 3, want)
		}
	}
	m := waived(t, "", both)
	check("not required", signed(m, false), true)
	m.RequireSignIn(true)
	check("nobody signed in", signed(m, false), false)
	check("signed in", signed(m, true), true)
	m.At(wardStart().Add(time.Hour))
	if opensTCP(m, "100.64.0.1", "100.64.0.3") {
		t.Error("the right outlives the sign-in")
	}
	m.At(wardStart())

	m = waived(t, "", both+lift(others("schedule")...))
	m.RequireSignIn(true)
	m.Declare(compile.Declared{Glass: map[string]time.Time{"down": wardStart().Add(time.Hour)}})
	check("glass broken, nobody signed in", signed(m, false), false)

	m = waived(t, "", both+`, "forbid": [{"src": ["ada@h"], "dst": ["tag:ehr"], "ip": ["*"]}]`)
	m.RequireSignIn(true)
	check("forbidden, signed in", signed(m, true), false)
}

// Another policy does not lift the requirement.
func TestSignInStaysRequired(t *testing.T) {
	m := waived(t, "", `"grants": []`)
	m.RequireSignIn(true)
	other := waived(t, "", `"grants": [{"src": ["ada@h"], "dst": ["tag:ehr"], "ip": ["*"]}]`)
	m.SetPolicy(other.Policy())
	if opensTCP(m, "100.64.0.1", "100.64.0.3") || opensTCP(m.With(other.Policy()), "100.64.0.1", "100.64.0.3") {
		t.Error("a new policy opens for who is not signed in")
	}
}

// What is supposed of somebody supposes that they are there to do it.
func TestWhoIsSupposedIsSignedIn(t *testing.T) {
	m := waived(t, "", `"grants": [{"src": ["ada@h"], "dst": ["tag:ehr"], "ip": ["*"]}]`)
	m.RequireSignIn(true)
	m.Suppose(&policy.Given{}, compile.Node{}, wardStart())
	if !opensTCP(m, "100.64.0.1", "100.64.0.3") {
		t.Error("supposed, and not signed in")
	}
}

// A person is who they are by each of their logins: what is forbidden to one of them is
// forbidden to the person, at their own machine and at a shared one.
func TestEachOfAPersonsLoginsCounts(t *testing.T) {
	for _, name := range []string{"ada@h", "ada.b@h", "user:*@old.h"} {
		m := waived(t, "", `"grants": [{"src": ["autogroup:member", "tag:cart"], "dst": ["tag:ehr"], "ip": ["*"]}, {"src": ["ben@h"], "srcDevice": ["tag:cart"], "dst": ["tag:ehr"], "ip": ["*"]}],
 "forbid": [{"src": ["`+name+`"], "dst": ["tag:ehr"], "ip": ["*"]}]`)
		n := bedNode(1, "ada.b@h")
		n.Also = []string{"ada@h", "ada@old.h"}
		m.Put(n)
		cart := bedNode(2, "tag:cart")
		e := compile.Evidence{Person: compile.Node{User: n.User, Also: n.Also}, Presence: &compile.Presence{Until: compile.Forever()}}
		cart.Facts = m.FactsOf(&e, wardStart())
		m.Put(cart)
		for _, src := range []int{1, 2} {
			if opensTCP(m, bedAddr(src).String(), "100.64.0.3") {
				t.Errorf("forbidden to %s, and open from %d", name, src)
			}
		}
	}
}
