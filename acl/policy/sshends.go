package policy

import "slices"

// sshDestinations reads where an ssh rule leads: to machines, or to nodes of
// people, of which no rule names somebody else's.
func (r *ruleReader) sshDestinations(items []item) []Selector {
	var all []Selector
	for _, it := range items {
		s, bad := r.names.selector(it.text)
		if bad == nil {
			switch s.Kind {
			case User, Tag, Self, Member, Tagged:
			default:
				bad = complain("is not valid as the dst of an ssh rule", "name a tag, autogroup:tagged, autogroup:self, autogroup:member, or the user who is the only source")
			}
		}
		if bad != nil {
			r.failAt(it.at, "dst", it.text, bad)
			continue
		}
		all = append(all, s)
	}
	return all
}

// checkSSHEnds refuses sources that are addresses, of which nobody could say who
// sits there, and pairs that let a machine into a person's node, which owns none
// and can prove nothing anew, or into a named person's node anybody else.
func (r *ruleReader) checkSSHEnds(rule *SSHRule, src, dst []item) {
	personal := func(s Selector) bool { return s.Kind == Self || s.Kind == User || s.Kind == Member }
	toPeople := slices.ContainsFunc(rule.Dst, personal)
	for i, s := range rule.Src {
		machine := s.Kind == Tag || s.Kind == Tagged
		var bad *complaint
		switch {
		case s.Kind == None: // reported already
		case !s.isWho():
			bad = complain("is not valid as the src of an ssh rule", "name users, groups, tags or autogroups")
		case machine && rule.Check:
			bad = complain(`"check" action does not support tags in src`, "a machine cannot prove again who it is: use accept, or name people")
		case machine && toPeople:
			bad = complain("a machine is let into machines alone: autogroup:self cannot be reached from this source, nor a user's nodes", "use users, groups or autogroup:member as sources, or a rule of its own")
		}
		if bad != nil {
			r.failAt(src[i].at, "src", src[i].text, bad)
		}
	}
	if len(rule.Dst) != len(dst) {
		return
	}
	for i, d := range rule.Dst {
		same := func(s Selector) bool { return s.Kind == None || s.Key() == d.Key() }
		if d.Kind == User && slices.ContainsFunc(rule.Src, func(s Selector) bool { return !same(s) }) {
			r.failAt(dst[i].at, "dst", dst[i].text, complain("users in dst are only allowed from the same user", "write autogroup:self, or name this user as the only source"))
		}
		if d.Kind == Member && len(rule.Src) > 0 {
			r.warn(dst[i].at, dst[i].text, "lets whoever is in src into the devices of everybody; for each person's own write autogroup:self")
		}
	}
}
