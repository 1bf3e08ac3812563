package registry_test

import (
	"errors"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/cordonmesh/cordon/coordinator/internal/registry"
)

// as decides a command by an actor, and keeps what came of it.
func (m *mesh) as(actor registry.Actor, c registry.Command) error {
	d, err := m.decider.Decide(m.state, c, actor, m.now)
	m.last, m.state = d, d.Next
	return err
}

func admin(id string, lifetime time.Duration, scopes ...string) registry.CreateToken {
	return registry.CreateToken{ID: id, Secret: registry.HashSecret(id), Kind: registry.AdminToken, Lifetime: lifetime, Scopes: scopes}
}

// A04: the right to make tokens is not the right to everything.
func TestTokenGivesOnNoMoreThanItHas_A04(t *testing.T) {
	m := begin(t)
	m.do(admin("helpdesk", 24*time.Hour, "read", "tokens"))
	by := registry.TokenActor("helpdesk")
	for name, c := range map[string]registry.CreateToken{
		"another scope":      admin("more", time.Hour, "policy"),
		"one scope of two":   admin("mixed", time.Hour, "backup", "read"),
		"longer than itself": admin("longer", 25*time.Hour, "read"),
	} {
		before := m.state
		if err := m.as(by, c); !errors.Is(err, registry.ErrToken) || m.state != before {
			t.Errorf("%s: %v", name, err)
		}
		if len(m.last.Records) != 1 || m.last.Records[0].Action != "token.create.refuse" || m.last.Records[0].Actor != string(by) {
			t.Errorf("%s: the audit says %+v", name, m.last.Records)
		}
	}
	if err := m.as(by, admin("less", time.Hour, "read")); err != nil {
		t.Errorf("a token with less: %v", err)
	}
	if err := m.as(by, registry.CreateToken{ID: "join", Secret: registry.HashSecret("join"), Kind: registry.EnrolToken, User: "ana@clinic.example"}); err != nil {
		t.Errorf("an enrolment token: %v", err)
	}
	if err := m.as(ana, admin("all", 48*time.Hour, "policy", "backup")); err != nil {
		t.Errorf("an operator at the coordinator: %v", err)
	}
}

// The edge looked at the token before the command was queued; what counts is
// the state in which it is decided.
func TestTokenIsAskedAgainWhereItIsDecided_A04_A11(t *testing.T) {
	m := begin(t)
	m.do(admin("ops", 2*time.Hour, "nodes", "tokens"))
	_, n := m.join("pump", registry.CreateToken{Tags: []string{"tag:pump"}, NeedsApproval: true})
	approve := registry.ApproveNode{Node: n.ID}
	m.do(registry.RevokeToken{ID: "ops"})
	before := m.state
	for name, actor := range map[string]registry.Actor{
		"revoked": registry.TokenActor("ops"), "unknown": registry.TokenActor("nobody"), "of another kind": registry.TokenActor(n.Token),
	} {
		if err := m.as(actor, approve); !errors.Is(err, registry.ErrToken) || m.state != before {
			t.Errorf("%s token: %v", name, err)
		}
	}
	m.do(admin("short", time.Hour, "nodes"))
	m.now = m.now.Add(time.Hour)
	if err := m.as(registry.TokenActor("short"), approve); !errors.Is(err, registry.ErrToken) {
		t.Errorf("expired token: %v", err)
	}
}

// A12: what a machine says of itself is shown to operators, and commands no terminal.
func TestWordsCommandNoTerminal_A12(t *testing.T) {
	m := begin(t)
	m.token("many", registry.CreateToken{Uses: 100})
	for name, text := range map[string]string{
		"line end": "1\n2026 operator:root policy.set", "escape": "\x1b[2J", "delete": "a\x7f", "C1 control": "\u009b2J",
		"right to left": "\u202egnp.exe", "zero width": "a\u200bb", "line separator": "a\u2028b", "not UTF-8": "\xff\xfe", "long": strings.Repeat("x", 129),
	} {
		box := newMachine()
		c := box.enrol("many", "pump")
		c.Version = text
		m.refused(c, registry.ErrInvalid)
		c.OS, c.Version = text, "1"
		m.refused(c, registry.ErrInvalid)
		for _, r := range m.last.Records {
			if strings.ContainsFunc(r.Detail, func(r rune) bool { return !unicode.IsPrint(r) }) {
				t.Errorf("%s: the audit says %q", name, r.Detail)
			}
		}
	}
	box := newMachine()
	c := box.enrol("many", "Wärme\x1b[2J\nbild")
	c.OS, c.Version = "Größe 10 (日本)", "1.2.3-rc1 +ø"
	if n := m.do(c).Node; n.Name != "w-rme-2j-bild" {
		t.Errorf("the name is %q", n.Name)
	}
}
