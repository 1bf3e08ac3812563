// Package policy is the language in which an admin says who may reach what: it
// turns the text of a policy file into a [Policy], or into a list of everything
// that is wrong with it.
//
// The dialect is the HuJSON policy file that admins of meshes already know.
// This package reads groups, tagOwners, hosts, ipsets, postures, acls, grants,
// ssh, nodeAttrs, autoApprovers, tests and sshTests; and what a hospital needs
// besides: sites, services, assets, segments, schedules, oncall, approvals,
// breakGlass, forbid and lockdown. What it promises:
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
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/cordonmesh/cordon/acl"
)

// Policy is a checked policy file. It is never written after [Parse] returns,
// so it may be shared between goroutines. Slices that its methods return must
// not be changed.
type Policy struct {
	name      string
	groups    map[string][]string
	roll      roll // of the groups
	tagOwners map[string][]Selector
	hosts     map[string]netip.Prefix
	ipsets    map[string][]netip.Prefix
	public    map[string]bool // as OnInternet says
	postures  map[string]Posture
	rules     []Rule
	ssh       []SSHRule
	attrs     []NodeAttr
	approvers AutoApprovers
	tests     []Test
	sshTests  []SSHTest

	segments  map[string]Segment
	services  func() map[string]Service // nil: none
	sites     map[string]Site
	assets    []Asset
	schedules map[string]Schedule
	oncall    map[string]OnCall
	approvals map[string]Approval
	glasses   []BreakGlass
	lockdowns map[string]Lockdown
	forbids   []Rule

	names *names // for reading what is said of it later

	idle time.Duration // as Idle says
}

// Name gives the file's name, as [Parse] was told it.
func (p *Policy) Name() string {
	if p == nil {
		return ""
	}
	return p.name
}

// Group gives the logins of a group ("group:nurses"). Among them stand groups of
// an identity provider, as "scim:NAME" and "idp:NAME", and of the coordinator's own
// people, as "local:NAME".
func (p *Policy) Group(name string) (logins []string, ok bool) {
	if p == nil {
		return nil, false
	}
	logins, ok = p.groups[name]
	return logins, ok
}

// IPSet gives the prefixes of an ipset ("ipset:imaging"), sorted, without
// overlap: its entries add and remove in their order.
func (p *Policy) IPSet(name string) (prefixes []netip.Prefix, ok bool) {
	if p == nil {
		return nil, false
	}
	prefixes, ok = p.ipsets[name]
	return prefixes, ok
}

// Prefixes gives what a selector names by addresses: a prefix, or an ipset's. It is
// empty for one that picks by who.
func (p *Policy) Prefixes(s Selector) []netip.Prefix {
	switch s.Kind {
	case Net:
		return []netip.Prefix{s.Prefix}
	case Set:
		prefixes, _ := p.IPSet(s.Name)
		return prefixes
	}
	return nil
}

// OnInternet tells whether an ipset is built on autogroup:internet: as a destination it
// leads to those of its addresses that are public through exit nodes, too.
func (p *Policy) OnInternet(ipset string) bool { return p != nil && p.public[ipset] }

// Posture gives what a posture ("posture:managed") asks of a device.
func (p *Policy) Posture(name string) (Posture, bool) {
	if p == nil {
		return Posture{}, false
	}
	posture, ok := p.postures[name]
	return posture, ok
}

// TagOwners gives who may put a tag ("tag:ehr", in any letter case) on a node.
func (p *Policy) TagOwners(tag string) (owners []Selector, ok bool) {
	if p == nil {
		return nil, false
	}
	owners, ok = p.tagOwners[TagName(tag)]
	return owners, ok
}

// Rules gives the rules in the order in which they are asked: those of breakGlass,
// then those of grants, then those of acls, each in the file's order; then one for
// each segment that is only monitored. Those that forbid are asked before all:
// [Policy.Forbids].
func (p *Policy) Rules() []Rule {
	if p == nil {
		return nil
	}
	return p.rules
}

// Unconditional gives the policy as it is where nobody meets any condition: its
// rules without those that ask for something of a device, a person or the time, and
// without a level of lockdown. A rule that is only monitored stays, and so does what a
// schedule forbids: where nobody knows the time, it may be the hour. Of one that asks for
// a srcPosture alone there stays what it opens to those who have none: behind gateways.
func (p *Policy) Unconditional() *Policy {
	if !p.Conditional() {
		return p
	}
	bare := *p
	bare.rules = nil
	for _, r := range p.rules {
		if r.Monitor.IsZero() && r.Postures != nil {
			r = r.behind()
		}
		if r.Monitor.IsZero() && r.Conditional() || r.Beyond && len(r.Src) == 0 {
			continue
		}
		bare.rules = append(bare.rules, r)
	}
	bare.forbids = slices.DeleteFunc(slices.Clone(p.forbids), func(r Rule) bool { return r.Postures != nil || r.When.Postures != nil })
	bare.lockdowns = nil
	return &bare
}

// behind gives what a rule with a srcPosture is to what stands behind gateways.
func (r Rule) behind() Rule {
	r.Beyond, r.Postures = true, nil
	r.Src = slices.DeleteFunc(slices.Clone(r.Src), func(s Selector) bool { return !s.mayStandBehind() })
	r.Parts = slices.DeleteFunc(slices.Clone(r.Parts), func(p Part) bool { return len(p.App) > 0 }) // what is no node can use none
	return r
}

// Conditional tells whether any rule asks for more than who asks.
func (p *Policy) Conditional() bool {
	return p != nil && (anyConditional(p.rules) || anyConditional(p.forbids) || len(p.lockdowns) > 0)
}

func anyConditional(rules []Rule) bool {
	for i := range rules {
		if rules[i].Conditional() {
			return true
		}
	}
	return false
}

// Conditional tells whether a rule asks for more than who asks.
func (r *Rule) Conditional() bool {
	return r.Postures != nil || r.When.conditional() || r.Devices != nil || r.Approval != "" || r.Glass != ""
}

// SSH gives the ssh rules in the order in which they are asked: those that check
// first, each kind in the file's order.
func (p *Policy) SSH() []SSHRule {
	if p == nil {
		return nil
	}
	return p.ssh
}

// NodeAttrs gives which nodes carry which attributes, in the file's order.
func (p *Policy) NodeAttrs() []NodeAttr {
	if p == nil {
		return nil
	}
	return p.attrs
}

// SSHTests gives the policy's own tests of its ssh rules in the file's order.
func (p *Policy) SSHTests() []SSHTest {
	if p == nil {
		return nil
	}
	return p.sshTests
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

func (p Position) compare(o Position) int {
	return cmp.Or(cmp.Compare(p.Line, o.Line), cmp.Compare(p.Column, o.Column))
}

// Rule is one written rule: what its sources may open at its destinations.
type Rule struct {
	ID      acl.RuleID // as acl.RuleID says
	Written bool       // the admin wrote the id
	Section string     // "breakGlass", "grants", "acls", "segments", "forbid" or "lockdown"
	Pos     Position
	Text    string // canonical JSON: comments, blanks and the id left out
	Src     []Selector
	Via     []string // tags of the routers that it leads through; nil for any
	Parts   []Part

	// Postures are the postures of which the source's device must have one; nil
	// asks for none. A rule that says nothing has those of defaultSrcPosture.
	// What stands behind a gateway is no device of the mesh, and passes without.
	Postures []string

	// Beyond tells of a rule that it is for what stands behind gateways alone. No file
	// says so: [Policy.Unconditional] does.
	Beyond bool

	// Devices are tags of shared devices. A rule that has any is for the people
	// in Src, who must sit at a device with one of them; nil is for devices of
	// their own.
	Devices  []string
	When     When
	Approval string   // name of the approval that it waits for ("approve:vendor")
	Through  []string // tags of the nodes on which a session ends and begins again
	OnExpiry OnExpiry // its own, or else its approval's
	Limit    *Limit

	Log        acl.LogLevel
	LogSet     bool // the admin wrote a level
	MustRecord bool // what cannot be recorded is refused

	// Monitor is until when its conditions are recorded and not enforced.
	Monitor time.Time

	Glass string // id of the break-glass that it is; empty: none
	Level string // name of the lockdown level at which it forbids; empty: always
}

// Part is what a rule opens at one set of destinations. A rule has several
// when its destinations differ in ports, when some are autogroup:self or
// autogroup:internet, and when it gives capabilities too.
type Part struct {
	Dst      []Selector    // empty when Self or Internet
	Self     bool          // each person's own untagged nodes
	Internet bool          // public addresses, at exit nodes
	Open     []acl.Service // sorted, without overlap; empty when App is not
	App      []Capability  // sorted by name
}
