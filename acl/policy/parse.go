package policy

import (
	"slices"
	"time"
)

// Limits on a policy file. A file of a large hospital group stays two orders of
// magnitude below each.
const (
	maxSize   = 4 << 20 // bytes
	maxDepth  = 32      // levels of brackets
	maxValues = 250_000 // keys, texts, numbers, lists and objects, all together
	maxErrors = 50      // errors that are kept; the rest would not be read
	maxRules  = 10_000
	maxItems  = 100_000   // entries of one list
	maxPairs  = 4_000_000 // sources times destinations times port entries, over all rules
	maxName   = 128       // bytes of a group, tag, host or id
)

// Options are what a policy is read against besides its own text.
type Options struct {
	// Domains are those that the mesh owns: user:*@DOMAIN and localpart:*@DOMAIN
	// must name one of them. Nil means that nobody said, and any will do.
	Domains []string

	// Now is when it is read, which tells what has expired. Zero is the clock's.
	Now time.Time

	// NoWarnings spares the search for what is worth a warning and no error.
	NoWarnings bool

	// InForce tells that the text was taken once, by this version or by an earlier
	// one, and is obeyed since. What has a meaning loads then, although nobody may
	// write it any more: a Warning that is Refused says of each such thing that a
	// new policy would be refused for it. One of the policy's own tests that is wrong
	// is left out with such a warning: it permits nothing. What has no meaning is
	// an error as ever.
	InForce bool
}

// Parse is Parse of the zero [Options].
func Parse(name string, src []byte) (*Policy, []Warning, error) { return Options{}.Parse(name, src) }

// Parse reads a policy file. The name is what errors call it. An error is of
// type [Errors] and holds everything that is wrong, at most 50 entries; the
// Policy is nil then, and nothing may be permitted by it. Warnings come in both
// cases.
func (o Options) Parse(name string, src []byte) (*Policy, []Warning, error) {
	r := newReader(name, src)
	if r.now = o.Now; r.now.IsZero() {
		r.now = time.Now()
	}
	r.inForce, r.noWarnings = o.InForce, o.NoWarnings
	p := &Policy{name: name}
	if root, ok := r.tree(); ok {
		r.duplicates(&root)
		r.policy(p, &root, &names{autogroups: autogroups(), owned: o.owned(), public: make(map[string]bool)})
	}
	slices.SortStableFunc(r.errs, func(a, b *Error) int { return a.Pos.compare(b.Pos) })
	r.warns = append(r.warns, r.forgiven...)
	slices.SortStableFunc(r.warns, func(a, b Warning) int { return a.Pos.compare(b.Pos) })
	if len(r.errs) > 0 {
		return nil, r.warns, r.errs
	}
	return p, r.warns, nil
}

// owned gives the domains for looking up; nil if nobody said.
func (o Options) owned() map[string]bool {
	if o.Domains == nil {
		return nil
	}
	owned := make(map[string]bool, len(o.Domains))
	for _, d := range o.Domains {
		owned[d] = true
	}
	return owned
}

// policy reads the sections. Definitions come first, wherever they stand.
func (r *reader) policy(p *Policy, root *value, n *names) {
	if root.isNull() {
		r.fail(root.at, "null", complain("a policy must be an object", `write {} to deny all`))
		return
	}
	sections := r.keyed(root, "the policy", topKeys)
	rules := &ruleReader{reader: r, names: n}
	p.names = n
	rules.definitions(p, sections)
	rules.opening(p, sections)
	rules.forbidding(p, sections)

	p.ssh = rules.sshRules(sections.member("ssh"))
	p.attrs = rules.nodeAttrs(sections.member("nodeAttrs"))
	p.approvers = r.autoApprovers(sections.member("autoApprovers"), n)
	before := len(r.errs)
	p.tests = rules.tests(sections.member("tests"))
	for _, e := range r.errs[before:] {
		e.Test = true
	}
	p.sshTests = rules.sshTests(sections.member("sshTests"))
	r.forgive(before)

	p.idle = p.shortestIdle()
	if sections.member("acls").value == nil && sections.member("grants").value == nil {
		r.warn(root.at, "", `neither "grants" nor "acls" in the file: everything is denied`)
	}
	if len(r.errs) == 0 {
		rules.weigh(p)
	}
	if len(r.errs) == 0 && !r.noWarnings {
		r.warnOfCapitals(root)
		rules.warnOfPlaceless(root, "")
		rules.warnOfFlatRules(p)
		rules.warnOfDeadRules(p)
		rules.floorsApart()
	}
}

// definitions reads what rules name. Each needs those before it.
func (r *ruleReader) definitions(p *Policy, sections object) {
	n := r.names
	n.sites = r.sites(sections.member("sites"))
	n.groups = r.groups(sections.member("groups"))
	n.roll = rollOf(n.groups)
	n.hosts = r.hosts(sections.member("hosts"), n)
	n.ipsets = r.ipsets(sections.member("ipsets"), n)
	n.tagOwners = r.tagOwners(sections.member("tagOwners"), n)
	p.assets = r.assets(sections.member("assets"))
	n.postures = r.postures(sections.member("postures"))
	r.impossible()
	n.services = r.services(sections.member("services"))
	n.schedules = r.schedules(sections.member("schedules"))
	n.oncall = r.rosters(sections.member("oncall"))
	n.approvals = r.approvals(sections.member("approvals"))
	n.segments = r.segments(sections.member("segments"))
	r.floors = floorsOf(n, p.assets)
	p.sites, p.groups, p.roll, p.hosts, p.ipsets, p.tagOwners, p.postures = n.sites, n.groups, n.roll, n.hosts, n.ipsets, n.tagOwners, n.postures
	p.public = n.public
	p.services, p.schedules, p.oncall, p.approvals, p.segments = n.services, n.schedules, n.oncall, n.approvals, n.segments
}

// opening reads the rules that open something, in the order in which they are asked.
func (r *ruleReader) opening(p *Policy, sections object) {
	r.defaultPostures = r.postureNames(sections.member("defaultSrcPosture"))
	p.glasses = r.breakGlass(sections.member("breakGlass"))
	r.names.glasses = make(map[string]bool, len(p.glasses))
	for _, g := range p.glasses {
		r.names.glasses[g.ID] = true
	}
	r.section(sections.member("grants"), "grants", r.grant)
	r.section(sections.member("acls"), "acls", r.acl)
	p.rules = append(r.rules, r.monitoredSegments(p)...)
}

// forbidding reads the rules that forbid, which comes after all that is opened.
func (r *ruleReader) forbidding(p *Policy, sections object) {
	r.opens = protocols(p.rules)
	p.forbids = r.forbids(sections.member("forbid"), "forbid")
	p.lockdowns = r.lockdowns(sections.member("lockdown"))
	r.names.lockdowns = p.lockdowns
}
