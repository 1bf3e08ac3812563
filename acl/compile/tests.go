package compile

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/cordonmesh/cordon/acl/policy"
)

// TestFailure is one expectation of the policy's own tests that does not hold.
type TestFailure struct {
	Pos      policy.Position // of the expectation, or of the test
	Text     string          // what was expected and what is, in words
	NoDevice bool            // nobody to judge by: a source or destination without any device, or a virtual service
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
// name or with something given is judged so in a world that is made up for it. What is
// expected of a virtual service is left out: whoever parsed the policy was warned of it.
//
// It ends with the context's error when that does, and with a [TooMuchWork] when it
// would take too long.
func (m *Mesh) Test(ctx context.Context) ([]TestFailure, error) {
	all := newFailing()
	err := m.judgeTests(ctx, func(r TestResult) {
		if r.Failure != nil && !r.Target.Virtual {
			all.add(*r.Failure)
		}
	})
	if err != nil {
		return nil, err
	}
	return all.list(), nil
}

// TestResult is what became of one expectation of the policy's own tests.
type TestResult struct {
	Test    policy.Test
	Target  policy.Target
	Accept  bool         // what was expected; else that it is denied
	Rule    *policy.Rule // that decides, if one does
	Failure *TestFailure // nil: it is as expected
}

// TestResults judges like [Mesh.Test], and tells of each expectation in the file's
// order.
func (m *Mesh) TestResults(ctx context.Context) (results []TestResult, err error) {
	err = m.judgeTests(ctx, func(r TestResult) { results = append(results, r) })
	return results, err
}

// ResultsOf judges one test on the nodes that there are, whatever it costs.
func (m *Mesh) ResultsOf(t policy.Test) (results []TestResult) {
	m.judging(nil).test(t, func(r TestResult) { results = append(results, r) })
	return results
}

func (m *Mesh) judgeTests(ctx context.Context, tell func(TestResult)) error {
	w := newWork(ctx)
	real := m.judging(w)
	var madeUp *world
	for _, t := range m.pol.Tests() {
		if t.Given != nil && madeUp == nil {
			madeUp = m.madeUp(w)
		}
		if t.Given != nil && !w.over() {
			madeUp.test(t, w, tell)
		} else if t.Given == nil {
			real.test(t, tell)
		}
		if err := w.done(t.Pos); err != nil {
			return err
		}
	}
	return nil
}

// test judges a test that supposes something.
func (w *world) test(t policy.Test, cost *work, tell func(TestResult)) {
	defer w.Suppose(nil, Node{}, w.now)
	who, _ := madeUpPerson(t.Src)
	j := &judging{Mesh: w.Mesh, world: w, work: cost, known: make(map[string]devices)}
	cost.spend(w.book.factSteps + w.groundSteps(t.Given))
	w.Suppose(t.Given, who, w.now)
	src := t.Src
	if t.Given.Device != "" {
		src = policy.Selector{Kind: policy.Tag, Name: t.Given.Device}
	}
	for _, target := range slices.Concat(t.Accept, t.Deny) {
		j.devices(target.Dst) // who is made up for a test is there before it is judged
	}
	j.judged(t, j.devices(src), func(r TestResult) {
		if r.Failure != nil && t.Name != "" {
			r.Failure.Text = t.Name + ": " + r.Failure.Text
		}
		tell(r)
	})
}

// judging runs tests. It looks each name up once.
type judging struct {
	*Mesh
	world *world // nil: on the nodes that there are
	work  *work
	known map[string]devices
	names map[string][]*node // by tag and by login; nil until somebody asks
}

func (m *Mesh) judging(w *work) *judging {
	return &judging{Mesh: m, work: w, known: make(map[string]devices)}
}

// test judges a test on the nodes that there are, whose devices have the
// attributes that it says besides.
func (j *judging) test(t policy.Test, tell func(TestResult)) {
	if e := trial(t.Attributes); e != nil {
		defer func(before time.Time) { j.supposed, j.now = nil, before }(j.now)
		if j.now.IsZero() {
			j.now = time.Unix(0, 0) // what is supposed holds at any time
		}
		j.work.spend(j.book.factSteps)
		j.supposed = j.FactsOf(e, j.now)
	}
	j.judged(t, j.devices(t.Src), tell)
}

// judged judges each expectation of a test from some devices, as long as there is
// work left.
func (j *judging) judged(t policy.Test, from devices, tell func(TestResult)) {
	for _, accept := range []bool{true, false} {
		targets := t.Deny
		if accept {
			targets = t.Accept
		}
		for _, target := range targets {
			r := TestResult{Test: t, Target: target, Accept: accept}
			switch {
			case target.Virtual:
				r.Failure = &TestFailure{Pos: target.Pos, Text: "there are no virtual services here to test with", NoDevice: true}
			case len(from.each) == 0:
				r.Failure = &TestFailure{t.Pos, fmt.Sprintf("source %s has no device to test with", t.Src), true, true}
			default:
				r.Rule, r.Failure = j.expect(t, target, from, accept)
			}
			if j.work.over() {
				return
			}
			tell(r)
		}
	}
}

// expect judges one expectation, and gives the rule that decides.
func (j *judging) expect(t policy.Test, target policy.Target, from devices, accept bool) (rule *policy.Rule, failure *TestFailure) {
	fail := func(noDevice bool, format string, args ...any) (*policy.Rule, *TestFailure) {
		return rule, &TestFailure{Pos: target.Pos, Text: fmt.Sprintf(format, args...), NoDevice: noDevice}
	}
	all := j.devices(target.Dst)
	if len(all.each) == 0 && target.Dst.Kind != policy.Self {
		return fail(true, "%s has no device to test with", target.Dst)
	}
	for _, src := range from.before(all, target) {
		to := all.each
		if target.Dst.Kind == policy.Self {
			if to = j.ownDevices(src); len(to) == 0 {
				return fail(false, "%s belongs to nobody, so there is no autogroup:self to test with", src.label)
			}
		}
		got, dst := j.open(t, src, to, target.Port)
		if j.work.over() {
			return nil, nil
		}
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

// open judges whether src reaches the port of one of the devices, and tells which:
// the first that it reaches, or else one that it must not.
func (j *judging) open(t policy.Test, src device, to []device, port uint16) (judgement, string) {
	var denied judgement
	for _, dst := range to {
		if j.work.over() {
			break
		}
		for x, y := range src.pairs(dst) {
			for _, proto := range t.Protocols {
				j.work.spend(judgeSteps(x, y))
				got := j.judge(x, y, flow{proto: proto, port: port})
				if got.allow {
					return got, dst.label
				}
				if denied.part == nil {
					denied = got
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
func (j *judging) hint(t policy.Test, src device, to []device, port uint16) string {
	for _, dst := range to {
		for x, y := range src.pairs(dst) {
			if !j.work.hint(j.book.textSteps) {
				return ""
			}
			x.label, y.label = src.label, dst.label
			if near := j.nearest(x, y, flow{proto: t.Protocols[0], port: port}); near.part != nil {
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
	glass := m.book.glasses[cmp.Or(j.ground.lift, j.part.rule.Glass)]
	approval, _ := m.pol.Approval(j.part.rule.Approval)
	longest := cmp.Or(glass.MaxDuration, approval.MaxDuration)
	if approval.MaxDuration > 0 && !slices.Contains(glass.Waives, "approval") {
		longest = min(longest, approval.MaxDuration)
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
