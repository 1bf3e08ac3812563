package policy

import (
	"fmt"
	"strings"
)

// SSHTest is one of the policy's own tests of its ssh rules.
type SSHTest struct {
	Pos Position
	Src Selector   // User, Group, Tag or a Net of one address
	Dst []Selector // User, Group, Tag or a Net of one address each; never empty
	// Accounts that must be let in without a check, only with one, and not at all.
	Accept, Check, Deny []string
	Attributes          map[string]any // as in [Test]
}

// sshTests reads a list of {"src", "dst", "accept", "check", "deny"}.
func (r *ruleReader) sshTests(section member) []SSHTest {
	var all []SSHTest
	elements := r.entries(section, "sshTests", "tests")
	for i := range elements {
		before := len(r.errs)
		if t := r.sshTest(&elements[i]); !r.inForce || len(r.errs) == before {
			all = append(all, t)
		}
	}
	return all
}

func (r *ruleReader) sshTest(v *value) SSHTest {
	fields := r.keyed(v, "an ssh test", sshTestKeys)
	t := SSHTest{Pos: r.pos(v.at), Src: r.sshTestSource(v, fields.member("src"))}
	dst := r.list(fields, "dst")
	if len(dst) == 0 {
		r.fail(v.at, "", complain("an ssh test has no dst", `add "dst": ["tag:server"]`))
	}
	for _, it := range dst {
		s, bad := r.names.selector(it.text)
		if bad == nil {
			bad = checkSSHTestEnd("dst", s)
		}
		if bad != nil {
			r.failAt(it.at, "dst", it.text, bad)
			continue
		}
		t.Dst = append(t.Dst, s)
	}
	t.Accept, t.Check, t.Deny = r.accounts(fields, "accept"), r.accounts(fields, "check"), r.accounts(fields, "deny")
	t.Attributes = r.values(fields, "srcPostureAttrs")
	r.expand(v.at, 1, len(dst), len(t.Accept)+len(t.Check)+len(t.Deny))
	if len(t.Accept)+len(t.Check)+len(t.Deny) == 0 {
		r.warn(v.at, "", "an ssh test without accept, check and deny tests nothing")
	}
	return t
}

func (r *ruleReader) sshTestSource(v *value, m member) Selector {
	if m.value == nil {
		r.fail(v.at, "", complain("an ssh test has no src", "name a user, a tag or an address"))
		return Selector{}
	}
	it, ok := r.text(m.value, `"src"`)
	if !ok {
		return Selector{}
	}
	s, bad := r.names.selector(it.text)
	if bad == nil {
		bad = checkSSHTestEnd("src", s)
	}
	if bad != nil {
		r.failAt(it.at, "src", it.text, bad)
	}
	return s
}

// checkSSHTestEnd refuses what is no one identity: a test is of somebody.
func checkSSHTestEnd(end string, s Selector) *complaint {
	switch {
	case s.Kind == User, s.Kind == Group, s.Kind == Tag, s.isAddress():
		return nil
	}
	return complainWhole(fmt.Sprintf("SSH tests %s contains disallowed element %q", end, shorten(s.Name)), "name a user, a group, a tag, a host or an address")
}

// accounts reads a list of accounts by name.
func (r *ruleReader) accounts(fields object, name string) []string {
	items := r.list(fields, name)
	for _, it := range items {
		if bad := checkAccount(it.text); bad != nil {
			r.failAt(it.at, name, it.text, bad)
		}
	}
	return texts(items)
}

// isAddress tells whether a selector is one address, and written as one.
func (s Selector) isAddress() bool {
	return s.Kind == Net && s.Prefix.IsSingleIP() && !strings.Contains(s.Name, "/")
}
