package compile

import (
	"slices"
	"time"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/acl/calendar"
	"github.com/cordonmesh/cordon/acl/policy"
)

// ground is one set of circumstances in which a part permits, or forbids: all
// that it asks for besides classes. A part has several where one is enough, and
// none where it cannot hold at all.
type ground struct {
	needs     []acl.Fact // sorted
	schedules []string   // sorted; all of them must be open
	until     time.Time  // zero: for ever
	hold      time.Duration
	drain     time.Duration
	log       acl.LogLevel
	limit     acl.Limit
	monitor   bool
	forbids   bool
	features  []string
	lift      string // id of a declared break-glass that lifts some of what the rule asks for

	told   *timed // to nodes; nil until somebody asks
	beside *timed // the same beside rules that forbid; nil until somebody asks
}

// timed is a rule without classes that holds in some windows. Nodes are told of one for
// each: a schedule may have hundreds.
type timed struct {
	rule    acl.Rule
	windows []calendar.Window
}

// obeying gives what is told of the ground beside rules that forbid: it asks for a filter
// that obeys those.
func (g *ground) obeying() *timed {
	if g.beside == nil {
		asking := *g.told
		asking.rule.Features = set(append(slices.Clip(g.features), acl.FeatureForbid))
		g.beside = &asking
	}
	return g.beside
}

// DefaultHold is how long a rule lives on without a word from the coordinator
// where no segment says, and the longest that one does.
const DefaultHold = policy.LongestHold

// groundKey is what a part's grounds depend on besides its rule.
type groundKey struct {
	human  bool // a person asks, not a machine
	beyond bool // what stands behind a gateway asks: it has no posture, and srcPosture asks it for none
	into   *zone
}

// to gives the key for the same source into other segments.
func (k groundKey) to(into *zone) groundKey {
	k.into = into
	return k
}

// groundsOf gives the grounds of a part for one kind of source and the segments
// of its destination.
func (m *Mesh) groundsOf(p *part, key groundKey) []ground {
	if p.latest.all != nil && p.latest.key == key {
		return p.latest.all
	}
	all, known := p.grounds[key]
	if !known {
		all = m.findGrounds(p, key)
		if p.grounds == nil {
			p.grounds = make(map[groundKey][]ground)
		}
		p.grounds[key] = all
	}
	p.latest = keyed{key, all}
	return all
}

// keyed is a part's grounds for a key.
type keyed struct {
	key groundKey
	all []ground
}

func (m *Mesh) findGrounds(p *part, key groundKey) (all []ground) {
	switch {
	case p.forbid:
		all = m.forbidding(p)
	case p.rule.Section == "segments":
		all = monitoring(p, key.into)
	default:
		all = m.permitting(p, key)
	}
	if m.book.signIn && key.human && !p.forbid {
		for i := range all {
			all[i].needs = set(append(slices.Clone(all[i].needs), policy.SignedInFact))
		}
	}
	return all
}

// forbidding gives the grounds of a part that forbids: none at a level of
// lockdown that nobody declared. Such a rule has no conditions about people. Behind a
// gateway it takes the gateway's postures: else it would forbid all there, or nothing.
func (m *Mesh) forbidding(p *part) []ground {
	if p.rule.Level != "" && !m.declared.level(p.rule.Level) {
		return nil
	}
	var a asked
	a.when(&p.rule.When, false, nil)
	a.fact(p.person)
	return a.grounds(p.rule.Postures, ground{log: p.rule.Log, forbids: true})
}

func aboutPeople(w *policy.When) bool { return w.MFA != nil || w.OnCall != "" || w.Session != nil }

// monitoring gives the ground on which what no rule opens passes into segments:
// none, if one of them is not monitored.
func monitoring(p *part, into *zone) []ground {
	g := ground{monitor: true, until: p.rule.Monitor, hold: into.hold(), log: p.rule.Log}
	for _, s := range into.list() {
		if s.Monitor.IsZero() {
			return nil
		}
		g.until = earlier(g.until, s.Monitor)
	}
	return []ground{g}
}

// permitting gives the grounds of a part that permits: those on which a declared
// break-glass lifts conditions, then those of the rule as it is written, then
// that of a rule whose own conditions are only monitored.
func (m *Mesh) permitting(p *part, key groundKey) []ground {
	like := ground{hold: key.into.hold(), drain: p.rule.OnExpiry.Drain, log: logOf(p.rule, key.into), limit: limitOf(p.rule), features: featuresOf(p.rule)}
	postures := p.rule.Postures
	if key.beyond {
		postures = nil
	}
	var all []ground
	if p.rule.Glass == "" {
		for _, lift := range m.lifts(key.into) {
			lifted := like
			lifted.until, lifted.lift = lift.until, lift.ID
			all = append(all, m.askedOf(p, key, lift.Waives).grounds(unwaived(postures, lift.Waives), lifted)...)
		}
	}
	var waived []string
	if glass, ok := m.book.glasses[p.rule.Glass]; ok {
		waived = glass.Waives
	}
	all = append(all, m.askedOf(p, key, waived).grounds(unwaived(postures, waived), like)...)
	if p.rule.Monitor.IsZero() {
		return all
	}
	bare := *p
	lenient := *p.rule
	lenient.When, bare.rule = policy.When{}, &lenient
	like.monitor, like.until = true, p.rule.Monitor
	return append(all, m.askedOf(&bare, key, waived).grounds(nil, like)...)
}

// askedOf gives what a part that permits asks for besides the alternatives of its
// srcPosture.
func (m *Mesh) askedOf(p *part, key groundKey, waived []string) *asked {
	a := new(asked)
	a.when(&p.rule.When, key.human, waived)
	if key.human {
		for _, s := range key.into.list() {
			a.when(&s.Requires, true, waived)
		}
	}
	a.fact(p.person)
	if a.proof && p.drainsUnseen() {
		a.fact(policy.SignedInFact)
	}
	if p.rule.Glass != "" {
		a.fact(policy.GlassFact(p.rule.Glass))
	}
	if p.rule.Approval != "" && !slices.Contains(waived, "approval") {
		a.fact(policy.ApprovalFact(p.rule.ID))
	}
	return a
}

func unwaived(postures, waived []string) []string {
	if slices.Contains(waived, "posture") {
		return nil
	}
	return postures
}

// asked gathers what must be so.
type asked struct {
	needs     []acl.Fact
	schedules []string
	proof     bool // of a person, which ends with their session
}

func (a *asked) fact(f acl.Fact) {
	if f != "" {
		a.needs = append(a.needs, f)
	}
}

// when adds conditions, but for the kinds that are waived. Those about people
// bind no machine.
func (a *asked) when(w *policy.When, human bool, waived []string) {
	asks := func(kind string) bool { return !slices.Contains(waived, kind) }
	if w.MFA != nil && human && asks("mfa") {
		a.fact(w.MFA.Fact())
		a.proof = true
	}
	if w.Session != nil && human && asks("session") {
		a.fact(w.Session.Fact())
		a.proof = true
	}
	if w.OnCall != "" && human && asks("oncall") {
		a.fact(policy.OnCallFact(w.OnCall))
	}
	if w.Risk != nil && asks("risk") {
		a.fact(policy.RiskFact(*w.Risk))
	}
	if asks("posture") {
		for _, posture := range w.Postures {
			a.fact(acl.Fact(posture))
		}
	}
	if w.Schedule != "" && asks("schedule") {
		a.schedules = append(a.schedules, w.Schedule)
	}
}

// grounds gives a ground for each of the alternatives, or one if there are none.
func (a *asked) grounds(alternatives []string, like ground) []ground {
	one := func(more ...acl.Fact) ground {
		g := like
		g.needs, g.schedules = set(slices.Concat(a.needs, more)), set(slices.Clone(a.schedules))
		return g
	}
	if alternatives == nil {
		return []ground{one()}
	}
	all := make([]ground, len(alternatives))
	for i, posture := range alternatives {
		all[i] = one(acl.Fact(posture))
	}
	return all
}

// set sorts in place and drops duplicates.
func set[T acl.Fact | string](all []T) []T {
	slices.Sort(all)
	return slices.Compact(all)
}

// logOf gives how a rule's flows are recorded: as it says, or else as the segment
// says that asks for most; and no less than flows where lives hang on it, by whatever
// name the rule leads there.
func logOf(r *policy.Rule, into *zone) acl.LogLevel {
	level := writtenLog(r, into)
	vital := func(s policy.Segment) bool { return s.Impact == "life" }
	if !level.Flows() && slices.ContainsFunc(into.list(), vital) {
		return acl.LogFlows
	}
	return level
}

func writtenLog(r *policy.Rule, into *zone) acl.LogLevel {
	if r.LogSet {
		return r.Log
	}
	level, said := acl.LogFlows, false
	for _, s := range into.list() {
		if s.LogSet && (!said || verbosity(s.Log) > verbosity(level)) {
			level, said = s.Log, true
		}
	}
	return level
}

func verbosity(l acl.LogLevel) int {
	return slices.Index([]acl.LogLevel{acl.LogOff, acl.LogDrops, acl.LogFlows, acl.LogDetail, acl.LogRecord}, l)
}

// limitOf gives a rule's limit as nodes keep it.
func limitOf(r *policy.Rule) acl.Limit {
	if r.Limit == nil {
		return acl.Limit{}
	}
	l := acl.Limit{Bytes: r.Limit.Bytes, Flows: r.Limit.Flows, Window: r.Limit.Window}
	for _, e := range []acl.Exceed{acl.Alert, acl.Throttle, acl.Cut} {
		if e.String() == r.Limit.OnExceed {
			l.OnExceed = e
		}
	}
	return l
}

// featuresOf gives what a filter must know to obey a rule without opening more
// than it says.
func featuresOf(r *policy.Rule) []string {
	var all []string
	if r.MustRecord {
		all = append(all, acl.FeatureRecord)
	}
	if len(r.Through) > 0 {
		all = append(all, acl.FeatureThrough)
	}
	return all
}

func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
