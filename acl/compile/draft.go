package compile

import (
	"slices"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/acl/policy"
)

// The texts of * as a source and as a destination: it means different sets; and what
// the text of addresses begins with that stand for all of a machine.
const (
	anySrcText   = "src:*"
	anyDstText   = "dst:*"
	memberText   = "autogroup:member"
	taggedText   = "autogroup:tagged"
	internetText = "autogroup:internet"
	machineText  = "machine:"
)

// draft is a part whose selectors are still texts.
type draft struct {
	rule     *policy.Rule
	part     *policy.Part
	forbid   bool
	internet bool              // of its ipsets the public addresses, at exit nodes
	people   []policy.Selector // who must sit at the source, a shared device
	person   acl.Fact          // that they do
	src, dst []string
}

// drafts gathers the parts of a policy, and which selectors they use.
type drafts struct {
	pol   *policy.Policy
	used  map[string]policy.Selector
	parts []draft

	schedules map[string]policy.Schedule
}

// all drafts what forbids, then what permits.
func (d *drafts) all() {
	var shared []policy.Selector
	for i := range d.pol.Rules() {
		for _, tag := range d.pol.Rules()[i].Devices {
			shared = append(shared, policy.Selector{Kind: policy.Tag, Name: tag})
		}
	}
	for r := range d.pol.Forbids() {
		d.rule(r, r.Src, nil, true)
		d.sitting(r, shared)
	}
	for i := range d.pol.Rules() {
		r := &d.pol.Rules()[i]
		if len(r.Devices) == 0 {
			d.rule(r, r.Src, nil, false)
			continue
		}
		var devices []policy.Selector
		for _, tag := range r.Devices {
			devices = append(devices, policy.Selector{Kind: policy.Tag, Name: tag})
		}
		d.rule(r, devices, r.Src, false)
	}
	d.segments()
}

// sitting forbids to people what is forbidden to them at shared devices too.
func (d *drafts) sitting(r *policy.Rule, shared []policy.Selector) {
	var people []policy.Selector
	for _, s := range d.members(r.Src) {
		switch s.Kind {
		case policy.User, policy.Domain, policy.Group, policy.Role, policy.Member:
			people = append(people, s)
		}
	}
	if len(people) > 0 && len(shared) > 0 {
		d.rule(r, shared, people, true)
	}
}

// rule drafts a rule's parts. One without sources or destinations opens nothing
// and is dropped.
func (d *drafts) rule(r *policy.Rule, src, people []policy.Selector, forbid bool) {
	for i := range r.Parts {
		p := &r.Parts[i]
		if len(src) == 0 || (len(p.Dst) == 0 && !p.Self && !p.Internet) {
			continue
		}
		one := draft{rule: r, part: p, forbid: forbid, people: people}
		if people != nil {
			one.person = policy.PersonFact(people)
		}
		for _, s := range d.members(src) {
			text := s.Key()
			switch {
			case s.Kind == policy.Any && p.Self:
				text, s = memberText, policy.Selector{Kind: policy.Member} // each person to their own
			case s.Kind == policy.Any:
				text = anySrcText
			}
			one.src = append(one.src, d.use(text, s))
			if forbid {
				one.src = d.machines(one.src, s)
			}
		}
		for _, s := range d.members(p.Dst) {
			text := s.Key()
			if s.Kind == policy.Any {
				text = anyDstText
			}
			one.dst = append(one.dst, d.use(text, s))
			if forbid {
				one.dst = d.machines(one.dst, s)
			}
		}
		if p.Internet {
			one.dst = append(one.dst, d.use(internetText, policy.Selector{Kind: policy.Internet}))
		}
		if p.Self {
			one.dst = append(one.dst, d.use(memberText, policy.Selector{Kind: policy.Member}))
		}
		d.parts = append(d.parts, one)
		d.throughExits(one)
		d.condition(&r.When)
	}
}

// throughExits drafts what a part opens by ipsets that are built on
// autogroup:internet: their public addresses, at exit nodes.
func (d *drafts) throughExits(one draft) {
	if len(one.part.Open) == 0 {
		return
	}
	one.internet, one.dst = true, nil
	for _, s := range d.members(one.part.Dst) {
		if s.Kind == policy.Set && d.pol.OnInternet(s.Name) {
			one.dst = append(one.dst, d.use(internetText+" "+s.Name, policy.Selector{Kind: policy.Internet, Name: s.Name}))
		}
	}
	if len(one.dst) > 0 {
		d.parts = append(d.parts, one)
	}
}

// machines adds to a side of a rule that forbids the machines that have any of the
// addresses that a selector names. Each has an address of both kinds: to forbid one
// and leave the other open would forbid nothing.
func (d *drafts) machines(side []string, s policy.Selector) []string {
	if s.Kind != policy.Net && s.Kind != policy.Set {
		return side
	}
	return append(side, d.use(machineText+s.Key(), s))
}

func (d *drafts) use(text string, s policy.Selector) string {
	d.used[text] = s
	return text
}

// members puts a segment's members in its place.
func (d *drafts) members(all []policy.Selector) []policy.Selector {
	if !slices.ContainsFunc(all, func(s policy.Selector) bool { return s.Kind == policy.InSegment }) {
		return all
	}
	var flat []policy.Selector
	for _, s := range all {
		if s.Kind != policy.InSegment {
			flat = append(flat, s)
			continue
		}
		segment, _ := d.pol.Segment(s.Name)
		flat = append(flat, segment.Members...)
	}
	return flat
}

// condition has the devices of people told apart where more is asked of them than
// of machines, and notes which schedules are kept.
func (d *drafts) condition(w *policy.When) {
	if aboutPeople(w) {
		d.use(memberText, policy.Selector{Kind: policy.Member})
	}
	if s, ok := d.pol.Schedule(w.Schedule); ok {
		if d.schedules == nil {
			d.schedules = make(map[string]policy.Schedule)
		}
		d.schedules[w.Schedule] = s
	}
}

// segments has what is in a segment told apart from what is not.
func (d *drafts) segments() {
	for _, name := range d.pol.Segments() {
		segment, _ := d.pol.Segment(name)
		for _, s := range segment.Members {
			d.use(s.Key(), s)
		}
		if asksAnything(segment.Requires) { // of people alone
			d.use(memberText, policy.Selector{Kind: policy.Member})
		}
		d.condition(&segment.Requires)
	}
}
