// Package policy is the language in which an admin says who may reach what: it
// turns the text of a policy file into a [Policy], or into a list of everything
// that is wrong with it.
//
// The dialect is the HuJSON policy file that admins of meshes already know.
// This package reads groups, tagOwners, hosts, acls, grants, autoApprovers and
// tests. What it promises:
//
//   - A [Policy] comes from [Parse] alone, so it cannot be invalid. The zero
//     Policy, a nil one, and one whose file has no rule section permit nothing.
//   - Nothing that would narrow a rule is ever skipped: a key that we do not
//     obey yet refuses the whole file, so no grant gets wider than it was written.
//     Keys of the dialect that open nothing here load with a [Warning].
//   - Reading is bounded in size, depth and expansion, and every complaint has
//     a file, a line and a column.
//
// What a name means in terms of addresses is left to acl/compile, and whether
// a policy is wise to nobody but its readers.
package policy

import (
	"fmt"
	"net/netip"

	"github.com/cordonmesh/cordon/acl"
)

// Policy is a checked policy file. It is never written after [Parse] returns,
// so it may be shared between goroutines. Slices that its methods return must
// not be changed.
type Policy struct {
	name      string
	groups    map[string][]string
	tagOwners map[string][]Selector
	hosts     map[string]netip.Prefix
	rules     []Rule
	approvers AutoApprovers
	tests     []Test
}

// Name gives the file's name, as [Parse] was told it.
func (p *Policy) Name() string {
	if p == nil {
		return ""
	}
	return p.name
}

// Group gives the logins of a group ("group:nurses").
func (p *Policy) Group(name string) (logins []string, ok bool) {
	if p == nil {
		return nil, false
	}
	logins, ok = p.groups[name]
	return logins, ok
}

// TagOwners gives who may put a tag ("tag:ehr") on a node.
func (p *Policy) TagOwners(tag string) (owners []Selector, ok bool) {
	if p == nil {
		return nil, false
	}
	owners, ok = p.tagOwners[tag]
	return owners, ok
}

// Rules gives the rules in the order in which they are asked: those of grants,
// then those of acls, each in the file's order.
func (p *Policy) Rules() []Rule {
	if p == nil {
		return nil
	}
	return p.rules
}

// Rule gives the first rule with an id. Two rules with the same words and no
// written id have the same.
func (p *Policy) Rule(id acl.RuleID) (Rule, bool) {
	for _, r := range p.Rules() {
		if r.ID == id {
			return r, true
		}
	}
	return Rule{}, false
}

// AutoApprovers says whose routes are approved without a person.
func (p *Policy) AutoApprovers() AutoApprovers {
	if p == nil {
		return AutoApprovers{}
	}
	return p.approvers
}

// Tests gives the policy's own tests in the file's order.
func (p *Policy) Tests() []Test {
	if p == nil {
		return nil
	}
	return p.tests
}

// Position is a place in a policy file. Lines and columns count from 1, a
// column in characters.
type Position struct {
	File         string
	Line, Column int
}

// String gives the position as file:line:column.
func (p Position) String() string { return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column) }

// Rule is one written rule: what its sources may open at its destinations.
type Rule struct {
	ID      acl.RuleID // as acl.RuleID says
	Written bool       // the admin wrote the id
	Section string     // "grants" or "acls"
	Pos     Position
	Text    string // canonical JSON: comments, blanks and the id left out
	Src     []Selector
	Parts   []Part
}

// Part is what a rule opens at one set of destinations. A rule has several
// when its destinations differ in ports, or when some are autogroup:self.
type Part struct {
	Dst  []Selector    // empty when Self
	Self bool          // each person's own untagged nodes
	Open []acl.Service // sorted, without overlap
}
