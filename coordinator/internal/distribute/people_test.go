package distribute_test

import (
	"slices"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/coordinator/internal/registry"
	"github.com/cordonmesh/cordon/coordinator/wire"
)

// byRole has a rule for each name that the language has for a role.
const byRole = `{"tagOwners": {"tag:console": []}, "grants": [
  {"src": ["autogroup:owner"], "dst": ["tag:console"], "ip": ["1"]}, {"src": ["autogroup:admin"], "dst": ["tag:console"], "ip": ["2"]},
  {"src": ["autogroup:network-admin"], "dst": ["tag:console"], "ip": ["3"]}, {"src": ["autogroup:it-admin"], "dst": ["tag:console"], "ip": ["4"]},
  {"src": ["autogroup:auditor"], "dst": ["tag:console"], "ip": ["5"]}, {"src": ["autogroup:billing-admin"], "dst": ["tag:console"], "ip": ["6"]}]}`

// ports gives the ports to which rules let a node reach out, and how many peers it has.
func (n *node) ports() (ports []uint16, peers int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, r := range n.state.Map.Rules.Out {
		for _, open := range r.Open {
			ports = append(ports, open.First)
		}
	}
	slices.Sort(ports)
	return slices.Compact(ports), len(n.state.Map.Peers)
}

// What the policy lets people with a role do begins with the role, and ends with
// it, with the person being shut out, and with their being forgotten.
func TestPolicyMeansPeopleByTheirRoles(t *testing.T) {
	play(t, byRole, func(t *testing.T, w *world) {
		console, laptop := w.enrol("tag:console"), w.enrol()
		console.connect()
		laptop.connect()
		defer leaveAll([]*node{console, laptop})
		w.do(registry.BeginSession{ID: "s", Node: laptop.id, Life: time.Hour,
			Who: registry.Identity{Issuer: "https://id.example", Subject: "ana", Login: "ana@clinic.example", At: time.Now()}})
		sees := func(what string, want ...uint16) {
			t.Helper()
			rest()
			got, peers := laptop.ports()
			if !slices.Equal(got, want) || (peers > 0) != (len(want) > 0) {
				t.Errorf("%s: ports %v, %d peers, want %v", what, got, peers, want)
			}
		}
		sees("without a role")
		for role, want := range map[string][]uint16{"owner": {1, 2}, "policy-admin": {3}, "device-admin": {4}, "auditor": {5}, "help-desk": nil} {
			w.do(registry.GrantRole{User: "ana@clinic.example", Role: role})
			sees(role, want...)
			if role != "owner" {
				w.do(registry.RevokeRole{User: "ana@clinic.example", Role: role})
				sees("no more " + role)
				continue
			}
			if _, err := w.registry.Do(t.Context(), registry.Operator("root"), registry.RevokeRole{User: "ana@clinic.example", Role: role, LastOwner: true}); err != nil {
				t.Fatal(err)
			}
			sees("no more owner")
		}
		w.do(registry.GrantRole{User: "ana@clinic.example", Role: "auditor"})
		w.do(registry.GrantRole{User: "ana@clinic.example", Role: "device-admin"})
		sees("two roles", 4, 5)
		w.do(registry.EndSessions{ID: "s"})
		sees("two roles of somebody who owns a machine and sits nowhere", 4, 5)
		w.do(registry.ForgetUser{User: "ana@clinic.example"})
		sees("forgotten")
	})
}

// At a shared machine a role is its holder's who sits there, for as long as they
// have it.
func TestRoleAtASharedMachine(t *testing.T) {
	const shared = `{"tagOwners": {"tag:console": [], "tag:kiosk": []}, "grants": [
  {"src": ["autogroup:auditor"], "srcDevice": ["tag:kiosk"], "dst": ["tag:console"], "ip": ["443"]}]}`
	play(t, shared, func(t *testing.T, w *world) {
		console, kiosk := w.enrol("tag:console"), w.enrol("tag:kiosk")
		console.connect()
		kiosk.connect()
		defer leaveAll([]*node{console, kiosk})
		w.do(registry.BeginSession{ID: "s", Node: kiosk.id, Life: time.Hour,
			Who: registry.Identity{Issuer: "https://id.example", Subject: "ana", Login: "ana@clinic.example", At: time.Now()}})
		for _, c := range []struct {
			registry.Command
			facts int
		}{{registry.Note{Action: "nothing"}, 0}, {registry.GrantRole{User: "ana@clinic.example", Role: "auditor"}, 1}, {registry.RevokeRole{User: "ana@clinic.example", Role: "auditor"}, 0}} {
			w.do(c.Command)
			rest()
			if got := console.factsOf(kiosk); len(got) != c.facts {
				t.Errorf("after %T the console knows of the kiosk %v", c.Command, got)
			}
		}
	})
}

// ward opens the record system to ana by all that is asked of a person, and nothing else
// to her.
const ward = `{"tagOwners": {"tag:ehr": [], "tag:scanner": []}, "grants": [
  {"id": "ehr", "src": ["ana@clinic.example"], "dst": ["tag:ehr"], "ip": ["443"]},
  {"id": "fresh", "src": ["ana@clinic.example"], "dst": ["tag:ehr"], "ip": ["444"], "when": {"mfa": {"within": "15m", "amr": ["otp"]}}},
  {"id": "idle", "src": ["ana@clinic.example"], "dst": ["tag:ehr"], "ip": ["445"], "when": {"idle": "10m"}},
  {"id": "scan", "src": ["tag:scanner"], "dst": ["tag:ehr"], "ip": ["22"]}]}`

// Who signs in at a machine of their own is told of to those who may be reached, and to
// the machine, as one small record, at each sign-in; so is it that they signed out. No
// rule changes, and nobody else hears anything.
func TestLoginIsOneSmallRecord(t *testing.T) {
	play(t, ward, func(t *testing.T, w *world) {
		w.do(registry.RequireSignIn{Required: true})
		all := join(w, "tag:ehr", "tag:scanner")
		ehr, scanner, laptop := all[0], all[1], w.enrol()
		laptop.connect()
		all = append(all, laptop)
		defer leaveAll(all)
		late()
		rules := wire.RulesDigest(ehr.rules())
		told := func(what string, facts int) {
			t.Helper()
			rest()
			for _, n := range []*node{ehr, laptop} {
				if n.got("delta") != 1 || n.got("full")+n.got("unhurried") > 0 || n.bytes > 500 {
					t.Errorf("%s: %s was sent %v, %d bytes", what, n.id, n.order, n.bytes)
				}
			}
			scanner.nothing(t, "may not be reached from there")
			if got := ehr.peer(laptop).Facts; len(got) != facts {
				t.Errorf("%s: told of the facts %v", what, got)
			}
			if wire.RulesDigest(ehr.rules()) != rules {
				t.Errorf("%s: rules changed", what)
			}
		}
		for _, what := range []string{"signed in", "signed in again"} {
			time.Sleep(time.Minute)
			anew(all...)
			w.sit(laptop, "s", "", "ana@clinic.example")
			told(what, 3)
		}
		anew(all...)
		w.do(registry.EndSessions{ID: "s"})
		told("signed out", 0)
	})
}
