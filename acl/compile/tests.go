package compile

import (
	"cmp"
	"fmt"
	"iter"
	"net/netip"
	"slices"
	"time"

	"go4.org/netipx"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/acl/policy"
)

// TestFailure is one expectation of the policy's own tests that does not hold.
type TestFailure struct {
	Pos      policy.Position // of the expectation, or of the test
	Text     string          // what was expected and what is, in words
	NoDevice bool            // nobody to judge by: a source or destination without any device
	NoSource bool            // it is the source
}

// String gives position and text in one line.
func (f TestFailure) String() string { return f.Pos.String() + ": " + f.Text }

// Test judges the policy's own tests. None failed when it returns nil.
//
// A test that supposes nothing is judged on the nodes that there are: what it
// accepts must be open from every device of its source to at least one device of
// the destination; what it denies must be open from none to any. Source and
// destination must have devices; an address is one, whoever has it. A test with a
// name or with something given is judged so in a world that is made up for it.
func (m *Mesh) Test() []TestFailure {
	var failures []TestFailure
	for _, r := range m.TestResults() {
		if r.Failure != nil && !slices.ContainsFunc(failures, func(f TestFailure) bool { return f == *r.Failure }) {
			failures = append(failures, *r.Failure)
		}
	}
	return failures
}

// TestResult is what became of one expectation of the policy's own tests.
type TestResult struct {
	Test    policy.Test
	Target  policy.Target
	Accept  bool         // what was expected; else that it is denied
	Rule    *policy.Rule // that decides, if one does
	Failure *TestFailure // nil: it is as expected
}

// TestResults judges the policy's own tests, and tells of each expectation in the
// file's order.
func (m *Mesh) TestResults() []TestResult {
	real := &judging{Mesh: m, lookUp: m.lookUp, known: make(map[string][]device)}
	var madeUp *world
	var results []TestResult
	for _, t := range m.pol.Tests() {
		if t.Given == nil {
			results = append(results, real.test(t)...)
			continue
		}
		if madeUp == nil {
			madeUp = m.madeUp()
		}
		results = append(results, madeUp.test(t)...)
	}
	return results
}

// ResultsOf judges one test on the nodes that there are.
func (m *Mesh) ResultsOf(t policy.Test) []TestResult {
	return (&judging{Mesh: m, lookUp: m.lookUp, known: make(map[string][]device)}).test(t)
}

// test judges a test that supposes something.
func (w *world) test(t policy.Test) []TestResult {
	defer w.Suppose(nil, Node{}, w.now)
	who, _ := madeUpPerson(t.Src)
	w.Suppose(t.Given, who, w.now)
	j := &judging{Mesh: w.Mesh, lookUp: w.lookUp, known: make(map[string][]device)}
	src := t.Src
	if t.Given.Device != "" {
		src = policy.Selector{Kind: policy.Tag, Name: t.Given.Device}
	}
	for _, target := range slices.Concat(t.Accept, t.Deny) {
		j.devices(target.Dst) // who is made up for a test is there before it is judged
	}
	results := j.judged(t, j.devices(src))
	for _, r := range results {
		if r.Failure != nil && t.Name != "" {
			r.Failure.Text = t.Name + ": " + r.Failure.Text
		}
	}
	return results
}

// judging runs tests. It looks each name up once.
type judging struct {
	*Mesh
	lookUp func(policy.Selector) []device
	known  map[string][]device
}

// test judges a test on the nodes that there are, whose devices have the
// attributes that it says besides.
func (j *judging) test(t policy.Test) []TestResult {
	if e := trial(t.Attributes); e != nil {
		defer func(before time.Time) { j.supposed, j.now = nil, before }(j.now)
		if j.now.IsZero() {
			j.now = time.Unix(0, 0) // what is supposed holds at any time
		}
		j.supposed = j.FactsOf(e, j.now)
	}
	return j.judged(t, j.devices(t.Src))
}

// judged judges each expectation of a test from some devices.
func (j *judging) judged(t policy.Test, from []device) []TestResult {
	var results []TestResult
	for _, accept := range []bool{true, false} {
		targets := t.Deny
		if accept {
			targets = t.Accept
		}
		for _, target := range targets {
			r := TestResult{Test: t, Target: target, Accept: accept}
			if len(from) == 0 {
				r.Failure = &TestFailure{t.Pos, fmt.Sprintf("source %s has no device to test with", t.Src), true, true}
			} else {
				r.Rule, r.Failure = j.expect(t, target, from, accept)
			}
			results = append(results, r)
		}
	}
	return results
}

// device is what a test's source or destination stands for: a node with its
// addresses, or an address or prefix that the test names.
type device struct {
	label  string
	owner  acl.Owner
	places []devicePlace
}

type devicePlace struct {
	place
	is4 bool
}

// devices gives what a selector stands for in a test, by label.
func (j *judging) devices(s policy.Selector) []device {
	all, ok := j.known[s.Key()]
	if !ok {
		all = j.lookUp(s)
		j.known[s.Key()] = all
	}
	return all
}

func (m *Mesh) lookUp(s policy.Selector) []device {
	var all []device
	if s.Kind == policy.Net || s.Kind == policy.Set {
		for _, prefix := range spans(s, m.pol) {
			all = append(all, m.netDevices(s.String(), prefix)...)
		}
		return all
	}
	picks := m.picker(s)
	for _, n := range m.nodes {
		if picks(&n.Node) {
			all = append(all, m.deviceOf(n))
		}
	}
	slices.SortFunc(all, func(a, b device) int { return cmp.Compare(a.label, b.label) })
	return all
}

func (m *Mesh) deviceOf(n *node) device {
	d := device{label: n.title(), owner: n.record.owner}
	for _, a := range n.Addrs {
		d.places = append(d.places, devicePlace{m.locate(a), a.Is4()})
	}
	return d
}

// netDevices gives an address as one device, and of a prefix one device for each
// part that the policy can tell apart: one begins where the prefix does, and where
// something inside it begins or has ended.
func (m *Mesh) netDevices(label string, prefix netip.Prefix) []device {
	starts := []netip.Addr{prefix.Addr()}
	if !prefix.IsSingleIP() {
		for inner := range m.table.Subnets(prefix) {
			starts = append(starts, inner.Addr(), netipx.PrefixLastIP(inner).Next())
		}
		slices.SortFunc(starts, netip.Addr.Compare)
		starts = slices.Compact(starts)
	}
	var all []device
	for _, a := range starts {
		if !prefix.Contains(a) {
			continue
		}
		p := m.judgedPlace(a)
		one := device{label: a.String(), owner: p.owner, places: []devicePlace{{p, a.Is4()}}}
		if len(all) == 0 {
			one.label = label
		}
		all = append(all, one)
	}
	return all
}

// judgedPlace is locate for a test. What nobody has or routes is judged by the
// rules' words alone, as if somebody did: so * is one of those that lead there.
func (m *Mesh) judgedPlace(a netip.Addr) place {
	p := m.locate(a)
	if p.reachable || m.contested(a) || m.book.anyDst == unused {
		return p
	}
	sign := []selector{m.book.anyDst}
	if p.class != nil {
		sign = sortedSet(append(sign, p.class.sign...))
	}
	p.class = m.newClass(signKey(sign), sign)
	return p
}

// expect judges one expectation, and gives the rule that decides.
func (j *judging) expect(t policy.Test, target policy.Target, from []device, accept bool) (rule *policy.Rule, failure *TestFailure) {
	fail := func(noDevice bool, format string, args ...any) (*policy.Rule, *TestFailure) {
		return rule, &TestFailure{Pos: target.Pos, Text: fmt.Sprintf(format, args...), NoDevice: noDevice}
	}
	all := j.devices(target.Dst)
	if len(all) == 0 && target.Dst.Kind != policy.Self {
		return fail(true, "%s has no device to test with", target.Dst)
	}
	for _, src := range from {
		to := all
		if target.Dst.Kind == policy.Self {
			if to = j.ownDevices(src); len(to) == 0 {
				return fail(false, "%s belongs to nobody, so there is no autogroup:self to test with", src.label)
			}
		}
		got, dst := j.open(t, src, to, target.Port)
		if got.part != nil {
			rule = got.part.rule
		}
		switch {
		case accept && !got.allow && got.part != nil:
			return fail(false, "%s must reach %s, but rule %s forbids it", src.label, target.Text, ruleText(got.part))
		case accept && !got.allow:
			return fail(false, "%s must reach %s, but no rule lets it%s", src.label, target.Text, j.hint(t, src, to, target.Port))
		case !accept && got.allow:
			return fail(false, "%s must not reach %s, but rule %s lets it reach %s", src.label, target.Text, ruleText(got.part), dst)
		case accept:
			if why := j.unexpected(t.Expect, got); why != "" {
				return fail(false, "%s reaches %s by rule %s, but %s", src.label, target.Text, ruleText(got.part), why)
			}
		}
	}
	return rule, nil
}

// ownDevices gives all nodes of a device's owner.
func (m *Mesh) ownDevices(d device) []device {
	var all []device
	if d.owner == 0 {
		return nil
	}
	for _, n := range m.byOwner[d.owner] {
		all = append(all, m.deviceOf(n))
	}
	return all
}

// open judges whether src reaches the port of one of the devices, and tells which:
// the first that it reaches, or else one that it must not.
func (m *Mesh) open(t policy.Test, src device, to []device, port uint16) (judgement, string) {
	var denied judgement
	for _, dst := range to {
		for x, y := range src.pairs(dst) {
			for _, proto := range t.Protocols {
				j := m.judge(x, y, proto, port)
				if j.allow {
					return j, dst.label
				}
				if denied.part == nil {
					denied = j
				}
			}
		}
	}
	return denied, ""
}

// pairs yields the places of two devices between which something can go: nothing
// goes from IPv4 to IPv6.
func (d *device) pairs(to device) iter.Seq2[place, place] {
	return func(yield func(place, place) bool) {
		for _, x := range d.places {
			for _, y := range to.places {
				if x.is4 == y.is4 && !yield(x.place, y.place) {
					return
				}
			}
		}
	}
}

// hint says which rule comes nearest.
func (m *Mesh) hint(t policy.Test, src device, to []device, port uint16) string {
	for _, dst := range to {
		for x, y := range src.pairs(dst) {
			x.label, y.label = src.label, dst.label
			if near := m.nearest(x, y, t.Protocols[0], port); near.part != nil {
				return fmt.Sprintf("; the nearest is %s: %s", ruleText(near.part), near.why)
			}
		}
	}
	return ""
}

// unexpected says what of a judgement is not as expected.
func (m *Mesh) unexpected(e *policy.Expect, j judgement) string {
	if e == nil {
		return ""
	}
	glass := m.book.glasses[j.part.rule.Glass]
	approval, _ := m.pol.Approval(j.part.rule.Approval)
	longest := glass.MaxDuration
	if longest == 0 {
		longest = approval.MaxDuration
	}
	told := func(s policy.Selector) bool { return s.String() == e.Alert }
	switch {
	case e.Rule != "" && e.Rule != j.part.rule.ID:
		return fmt.Sprintf("rule %q was expected", e.Rule)
	case e.Log != "" && e.Log != levelText(j.ground.log):
		return fmt.Sprintf("it logs %s, not %s", levelText(j.ground.log), e.Log)
	case e.Alert != "" && !slices.ContainsFunc(glass.Alert, told):
		return fmt.Sprintf("%s is not alerted", e.Alert)
	case e.MaxDuration != 0 && e.MaxDuration != longest:
		return fmt.Sprintf("it lasts %s at most, not %s", longest, e.MaxDuration)
	}
	return ""
}
