package diff

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/acl/compile"
	"github.com/cordonmesh/cordon/acl/policy"
)

// terms are all that a rule says besides who may open what: under which conditions,
// for how long, and how much. The zero value asks for nothing.
type terms struct {
	needs     []acl.Fact
	schedules []string // by name; empty: windows says when
	hours     string   // of schedules: what they say
	windows   []window
	at        int // number of windows in a lexicon
	monitor   bool
	features  []string
	hold      time.Duration // 0: as long as any rule
	drain     time.Duration
	limit     acl.Limit

	unless []*terms // of rules that forbid, each with a text of its own
}

// window is a time in which a rule holds; a zero time is without bound.
type window struct{ from, until time.Time }

// termsOf gives the terms of a rule, which stands there once for each of its windows.
// How much is recorded is none of them. A mesh that keeps the rule knows its schedules.
func termsOf(told *compile.Shared, forbid bool, keeps *keeper) *terms {
	r := told.Terms
	t := &terms{needs: asked(r.Needs), monitor: r.Monitor}
	if len(told.Windows) > 1 {
		t.windows = make([]window, 0, len(told.Windows))
	}
	for _, w := range told.Windows {
		if !w.From.IsZero() || !w.Until.IsZero() {
			t.windows = append(t.windows, window{w.From.UTC(), w.Until.UTC()})
		}
	}
	t.schedules, t.hours, t.windows = keeps.named(r.ID, t.windows)
	if forbid {
		return t
	}
	for _, f := range r.Features {
		if f != acl.FeatureForbid { // it says what stands beside the rule
			t.features = append(t.features, f)
		}
	}
	if r.Hold != compile.DefaultHold {
		t.hold = r.Hold
	}
	if len(t.needs)+len(t.windows) > 0 { // nothing else ends
		t.drain = r.Drain
	}
	t.limit = r.Limit
	return t
}

// asked gives the facts that the policy asks for: the session of a proof, by which nodes
// know that what drains is to be cut, is there whenever the proof is.
func asked(needs []acl.Fact) []acl.Fact {
	return slices.DeleteFunc(slices.Clone(needs), func(f acl.Fact) bool { return f == acl.SignedIn })
}

// text gives the terms in words; empty: there are none. Equal terms have equal texts.
func (t *terms) text() string {
	var all []string
	for _, fact := range t.needs {
		all = append(all, string(fact))
	}
	if t.monitor {
		all = append(all, "being monitored")
	}
	all = append(all, t.timeText()...)
	for _, f := range t.features {
		all = append(all, featureText(f))
	}
	if t.hold != 0 {
		all = append(all, "the coordinator heard within "+policy.SpanText(t.hold))
	}
	if t.drain != 0 {
		all = append(all, "going on for "+policy.SpanText(t.drain)+" after its end")
	}
	if t.limit != (acl.Limit{}) {
		all = append(all, limitText(t.limit))
	}
	text := strings.Join(all, " and ")
	for _, f := range t.unless {
		text = strings.TrimPrefix(text+" unless "+f.text(), " ")
	}
	return text
}

func (t *terms) timeText() []string {
	if len(t.schedules) > 0 {
		return []string{"schedule:" + strings.Join(t.schedules, "+") + " (" + t.hours + ")"}
	}
	if len(t.windows) == 0 {
		return nil
	}
	var all []string
	if w := t.windows[0]; !w.from.IsZero() {
		all = append(all, "from "+w.from.Format(time.RFC3339))
	}
	if w := t.windows[0]; !w.until.IsZero() {
		all = append(all, "until "+w.until.Format(time.RFC3339))
	}
	for _, w := range t.windows[1:] {
		all = append(all, "from "+w.from.Format(time.RFC3339)+" until "+w.until.Format(time.RFC3339))
	}
	return all
}

func featureText(feature string) string {
	switch feature {
	case acl.FeatureThrough:
		return "a session that ends at a node between"
	case acl.FeatureRecord:
		return "a session that is recorded"
	}
	return "a node that knows " + feature
}

func limitText(l acl.Limit) string {
	amount := fmt.Sprintf("%d bytes", l.Bytes)
	if l.Flows > 0 {
		amount = fmt.Sprintf("%d flows", l.Flows)
	}
	for _, unit := range []struct {
		size uint64
		name string
	}{{1 << 40, "TiB"}, {1 << 30, "GiB"}, {1 << 20, "MiB"}, {1 << 10, "KiB"}} {
		if l.Bytes >= unit.size && l.Bytes%unit.size == 0 {
			amount = fmt.Sprintf("%d %s", l.Bytes/unit.size, unit.name)
			break
		}
	}
	return fmt.Sprintf("at most %s each %s, then %s", amount, policy.SpanText(l.Window), l.OnExceed)
}

// keeper knows which schedules the rules of a mesh keep.
type keeper struct {
	mesh  *compile.Mesh
	own   map[acl.RuleID]string // of rules that keep one by themselves
	floor []string              // those of segments, sorted
	known map[string][]window

	forbids map[acl.RuleID]bool // which of them forbid
}

func newKeeper(m *compile.Mesh) *keeper {
	k := &keeper{mesh: m, own: make(map[acl.RuleID]string), known: make(map[string][]window), forbids: make(map[acl.RuleID]bool)}
	pol := m.Policy()
	note := func(r *policy.Rule) {
		if r.When.Schedule != "" {
			k.own[r.ID] = r.When.Schedule
		}
	}
	for i := range pol.Rules() {
		note(&pol.Rules()[i])
	}
	for r := range pol.Forbids() {
		note(r)
		k.forbids[r.ID] = true
	}
	for _, name := range pol.Segments() {
		if s, _ := pol.Segment(name); s.Requires.Schedule != "" {
			k.floor = append(k.floor, s.Requires.Schedule)
		}
	}
	slices.Sort(k.floor)
	k.floor = slices.Compact(k.floor)
	return k
}

// named gives the schedules that make windows what they are, and what those say;
// nothing, if none do. Equal windows are kept once.
func (k *keeper) named(id acl.RuleID, windows []window) (names []string, hours string, kept []window) {
	if len(windows) == 0 {
		return nil, "", nil
	}
	var tries [][]string
	if own := k.own[id]; own != "" {
		tries = append(tries, []string{own})
		for _, f := range k.floor {
			if f != own {
				tries = append(tries, []string{own, f})
			}
		}
	}
	for _, f := range k.floor {
		tries = append(tries, []string{f})
	}
	for _, names := range tries {
		if kept := k.windows(names, k.forbids[id]); slices.EqualFunc(kept, windows, sameWindow) {
			return names, k.hours(names), kept
		}
	}
	return nil, "", windows
}

func (k *keeper) windows(names []string, forbids bool) []window {
	key := fmt.Sprint(strings.Join(names, "+"), " ", forbids)
	all, ok := k.known[key]
	if !ok {
		keeps := k.mesh.Keeps(names, forbids)
		all = make([]window, 0, len(keeps))
		for _, w := range keeps {
			all = append(all, window{w.From, w.Until})
		}
		k.known[key] = all
	}
	return all
}

func (k *keeper) hours(names []string) string {
	texts := make([]string, len(names))
	for i, name := range names {
		s, _ := k.mesh.Policy().Schedule(name)
		texts[i] = s.Weekly.String()
	}
	return strings.Join(texts, ", and ")
}

func sameWindow(a, b window) bool {
	return a.from.Equal(b.from) && a.until.Equal(b.until)
}

// key gives one text for all terms that are the same, but for what the schedules
// say: that is told of the schedules.
func (t *terms) key() string {
	one := *t
	if len(t.schedules) > 0 {
		one.hours = ""
	}
	text := one.text()
	for _, f := range t.unless {
		text += "|" + f.key()
	}
	return text
}

// compareTerms orders terms by their words.
func compareTerms(a, b *terms) int { return cmp.Compare(a.key(), b.key()) }
