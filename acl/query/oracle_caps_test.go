package query_test

import "slices"

// capGroup is the capabilities of some sources at one destination.
type capGroup struct {
	From []string         `json:"from"`
	To   []string         `json:"to"`
	Caps map[string][]any `json:"caps"`
}

// caps groups the sources of each destination by what they may there.
func (w *world) caps(names []string) []capGroup {
	out := []capGroup{}
	for _, name := range names {
		to := w.node(name)
		var groups []capGroup
		for i := range w.Nodes {
			from := &w.Nodes[i]
			caps := w.capsOf(from, to)
			if len(caps) == 0 {
				continue
			}
			at := slices.IndexFunc(groups, func(g capGroup) bool { return string(mustJSON(g.Caps)) == string(mustJSON(caps)) })
			if at < 0 {
				groups = append(groups, capGroup{To: []string{name}, Caps: caps})
				at = len(groups) - 1
			}
			groups[at].From = append(groups[at].From, from.Name)
		}
		for _, g := range groups {
			slices.Sort(g.From)
			out = append(out, g)
		}
	}
	return out
}

// companions are the capabilities that come with another, the other way round.
func companions() map[string]string {
	return map[string]string{
		"tailscale.com/cap/drive": "tailscale.com/cap/drive-sharer",
		"tailscale.com/cap/relay": "tailscale.com/cap/relay-target",
	}
}

// capsOf is what a node may at another: values in the order of the grants, of
// one grant once.
func (w *world) capsOf(from, to *device) map[string][]any {
	caps := map[string][]any{}
	for _, g := range w.policy.Grants {
		if len(g.Via) > 0 || w.postured(g.SrcPosture) {
			continue
		}
		if w.grantCovers(g, from, to) {
			for name, values := range g.App {
				caps[name] = append(append([]any{}, caps[name]...), values...)
			}
		}
		if w.grantCovers(g, to, from) {
			for name, other := range companions() {
				if _, ok := g.App[name]; ok {
					caps[other] = []any{}
				}
			}
		}
	}
	return caps
}

// grantCovers says whether an address of one node is a source, and one of the
// other a destination, of a grant.
func (w *world) grantCovers(g grant, from, to *device) bool {
	if from != nil && to != nil && w.closedTo(from, to) {
		return false
	}
	for _, dst := range w.spelled(trim(g.Dst)) {
		q := part{src: w.spelled(trim(g.Src)), dst: dst, app: g.App}
		if from != nil && to != nil && w.lands(q, to) && w.admits(q, to).overlaps(w.addrs(from)) {
			return true
		}
	}
	return false
}

// closedTo says whether somebody's own node leads into a segment that asks people for proof.
func (w *world) closedTo(from, to *device) bool {
	for _, s := range w.policy.Segments {
		holds := func(member string) bool {
			return w.destination(member).overlaps(w.addrs(to)) || slices.ContainsFunc(to.written(), w.literalOf(member).has)
		}
		if len(s.Requires) > 0 && slices.ContainsFunc(trim(s.Members), holds) {
			return !from.tagged() && from.User != ""
		}
	}
	return false
}
