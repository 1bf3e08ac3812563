package compile

import (
	"slices"
	"strings"

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
	beyondText   = "beyond:" // of what stands behind gateways
)

// draft is a part whose selectors are still numbered as they came.
type draft struct {
	rule     *policy.Rule
	part     *policy.Part
	forbid   bool
	internet bool              // of its ipsets the public addresses, at exit nodes
	people   []policy.Selector // who must sit at the source, a shared device
	person   acl.Fact          // that they do
	src, dst []int32           // indexes in drafts.used
}

// spares tells whether a part asks less of what stands behind gateways. At a shared device
// somebody must sit, and nobody sits there.
func (d *draft) spares() bool {
	return !d.forbid && d.person == "" && (d.rule.Postures != nil || d.rule.Beyond)
}

// drafts gathers the parts of a policy, and which selectors they use.
type drafts struct {
	pol     *policy.Policy
	texts   []string          // of what is used, each once
	used    []policy.Selector // for them
	numbers map[string]int32  // text -> index in used
	ends    []int32           // of all parts: what their src and dst are cut from
	parts   []draft

	schedules map[string]policy.Schedule
}

// all drafts what forbids, then what permits.
func (d *drafts) all() {
	d.parts = make([]draft, 0, len(d.pol.Rules()))
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
		if isPeople(s) {
			people = append(people, s)
		}
	}
	if len(people) > 0 && len(shared) > 0 {
		d.rule(r, shared, people, true)
	}
}

func isPeople(s policy.Selector) bool {
	switch s.Kind {
	case policy.User, policy.Domain, policy.Group, policy.Role, policy.Member:
		return true
	}
	return false
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
		from, to := d.members(src), d.members(p.Dst)
		first := len(d.ends)
		for _, s := range from {
			text := s.Key()
			switch {
			case s.Kind == policy.Any && p.Self:
				text, s = memberText, policy.Selector{Kind: policy.Member} // each person to their own
			case s.Kind == policy.Any:
				text = anySrcText
			}
			d.end(text, s, forbid)
		}
		one.src, first = slices.Clip(d.ends[first:]), len(d.ends)
		for _, s := range to {
			text := s.Key()
			if s.Kind == policy.Any {
				text = anyDstText
			}
			d.end(text, s, forbid || r.Section == "segments")
		}
		if p.Internet {
			d.end(internetText, policy.Selector{Kind: policy.Internet}, false)
		}
		if p.Self {
			d.end(memberText, policy.Selector{Kind: policy.Member}, false)
		}
		one.dst = slices.Clip(d.ends[first:])
		d.parts = append(d.parts, one)
		if one.spares() {
			d.use(beyondText, policy.Selector{})
		}
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

// end adds a selector to the side of a part that is being drafted; with the machines
// that have any of the addresses that it names, if it is about machines as a whole.
func (d *drafts) end(text string, s policy.Selector, machines bool) {
	d.ends = append(d.ends, d.use(text, s))
	if machines && isAddresses(s) {
		d.ends = append(d.ends, d.machines(s))
	}
}

// machines gives the number of the machines that have any of the addresses that a
// selector names. Each has an address of both kinds: what is forbidden, or asked for, at
// one and not at the other is so nowhere.
func (d *drafts) machines(s policy.Selector) int32 { return d.use(machineText+s.Key(), s) }

func isAddresses(s policy.Selector) bool { return s.Kind == policy.Net || s.Kind == policy.Set }

// use gives the number of a selector.
func (d *drafts) use(text string, s policy.Selector) int32 {
	number, known := d.numbers[text]
	if !known {
		number = int32(len(d.used))
		d.numbers[text] = number
		d.texts, d.used = append(d.texts, text), append(d.used, s)
	}
	return number
}

// sorted gives the indexes in used in the order of their texts.
func (d *drafts) sorted() []int32 {
	order := make([]int32, len(d.used))
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortFunc(order, func(a, b int32) int { return strings.Compare(d.texts[a], d.texts[b]) })
	return order
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
			if isAddresses(s) {
				d.machines(s)
			}
		}
		if asksAnything(segment.Requires) { // of people alone
			d.use(memberText, policy.Selector{Kind: policy.Member})
		}
		d.condition(&segment.Requires)
	}
}
