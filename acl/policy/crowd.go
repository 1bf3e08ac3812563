package policy

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
)

// A mesh tells apart every address that its policy names, and knows of each which rules
// hold it, whether or not anybody has the address. So few words may ask for much memory:
// ten thousand rules from * hold each of a hundred thousand addresses. Likewise a node
// is told a rule once for each posture that is enough, each span of the week, and
// each segment that the rule leads into. Both are counted before anything is compiled.
const (
	maxCases    = 4_000_000 // of an address that the file names, and a side of a rule that holds it
	maxVariants = 500_000   // of all rules, as a node is told them that all concern

	zoneCases = 40 // what each segment of a set of segments costs that some address is in
)

// crowd is the addresses that a file names, and by what.
type crowd struct {
	names *names
	all   use // *
	uses  map[Selector]*use
	cases int
	zones int // sets of segments that some address is in
}

// use is one name in rules, or of a member of segments.
type use struct {
	text     string
	at       Position // where it is used first
	sides    int      // of rules
	segments int      // that have it as a member
	zone     uint64   // a sum that tells those from others

	cases  int // of the addresses inside
	inside int // members of segments there
}

// places is where it stands: on sides of rules, and in segments.
func (u *use) places() int { return u.sides + u.segments }

// spot is a prefix that a name stands for.
type spot struct {
	prefix netip.Prefix
	by     *use
}

func (p *Policy) crowd(n *names) *crowd {
	c := &crowd{names: n, uses: make(map[Selector]*use)}
	for _, s := range p.segments {
		sum := sha256.Sum256([]byte(s.Name)) // of plainer hashes, sums of several are often the same
		for _, m := range s.Members {
			u := c.use(m, s.Pos)
			u.segments, u.zone = u.segments+1, u.zone+binary.BigEndian.Uint64(sum[:8])
		}
	}
	for i := range p.rules {
		c.rule(&p.rules[i])
	}
	for r := range p.Forbids() {
		c.rule(r)
	}
	c.walk()
	return c
}

// use gives the use of a name, by whatever word it stands for the same.
func (c *crowd) use(s Selector, at Position) *use {
	key := Selector{Kind: s.Kind, Name: s.Name}
	switch s.Kind {
	case Any:
		if c.all.text == "" {
			c.all.text, c.all.at = s.Name, at
		}
		return &c.all
	case Net:
		key = Selector{Kind: Net, Prefix: s.Prefix}
	}
	u, known := c.uses[key]
	if !known {
		u = &use{text: s.Name, at: at}
		c.uses[key] = u
	}
	return u
}

func (c *crowd) rule(r *Rule) {
	for _, s := range r.Src {
		c.side(s, len(r.Parts), r.Pos)
	}
	for i := range r.Parts {
		for _, s := range r.Parts[i].Dst {
			c.side(s, 1, r.Pos)
		}
		if r.Parts[i].Internet {
			c.side(Selector{Kind: Internet, Name: internetSet}, 1, r.Pos)
		}
	}
}

// side counts a name on sides of rules. One that picks nodes by who they are stands for
// no addresses of the file.
func (c *crowd) side(s Selector, sides int, at Position) {
	if s.isWho() {
		return
	}
	c.use(s, at).sides += sides
	for _, m := range c.names.members(s) {
		c.use(m, at).sides += sides
	}
}

// spots gives all prefixes that are named, each as often as something names it.
func (c *crowd) spots() []spot {
	all := make([]spot, 0, len(c.uses))
	for s, u := range c.uses {
		switch s.Kind {
		case Net:
			all = append(all, spot{s.Prefix, u})
		case World:
			all = append(all, spot{netip.PrefixFrom(netip.IPv4Unspecified(), 0), u}, spot{netip.PrefixFrom(netip.IPv6Unspecified(), 0), u})
		case Internet:
			for _, p := range Public() {
				all = append(all, spot{p, u})
			}
		case Set:
			for _, p := range c.names.ipsets[s.Name] {
				all = append(all, spot{p, u})
			}
		}
	}
	slices.SortFunc(all, func(a, b spot) int {
		return cmp.Or(a.prefix.Addr().Compare(b.prefix.Addr()), cmp.Compare(a.prefix.Bits(), b.prefix.Bits()))
	})
	return all
}

// walk goes over the prefixes, those around before those inside, and counts. Who routes
// what nobody knows here: * may hold all of it.
func (c *crowd) walk() {
	var w walk
	zones := make(map[uint64]bool)
	spots := c.spots()
	for i := 0; i < len(spots); {
		at := spots[i].prefix
		w.leaveBefore(at)
		were := w.counted
		for ; i < len(spots) && spots[i].prefix == at; i++ {
			w.enter(spots[i], were)
		}
		w.prefixes++
		c.cases += w.sides + c.all.sides + w.segments
		if w.segments > 0 && !zones[w.zone] {
			zones[w.zone] = true
			c.cases += zoneCases * w.segments
		}
	}
	w.leaveAll()
	c.all.cases, c.zones = c.all.sides*w.prefixes, len(zones)
}

// walk is where one is on the way, and what was met so far.
type walk struct {
	around []around
	counted
	sides, segments int // of those around
	zone            uint64
}

// counted is how many prefixes there were, and members of segments.
type counted struct{ prefixes, members int }

// around is a spot around where one is, and what was met before it.
type around struct {
	spot
	before counted
}

func (w *walk) enter(s spot, before counted) {
	w.around = append(w.around, around{s, before})
	w.sides, w.segments, w.zone = w.sides+s.by.sides, w.segments+s.by.segments, w.zone+s.by.zone
	if s.by.segments > 0 {
		w.members++
	}
}

func (w *walk) leave() {
	last := w.around[len(w.around)-1]
	w.around = w.around[:len(w.around)-1]
	u := last.by
	u.cases += u.places() * (w.prefixes - last.before.prefixes)
	u.inside += w.members - last.before.members
	w.sides, w.segments, w.zone = w.sides-u.sides, w.segments-u.segments, w.zone-u.zone
}

// leaveBefore leaves what does not hold the next prefix.
func (w *walk) leaveBefore(next netip.Prefix) {
	for len(w.around) > 0 {
		if p := w.around[len(w.around)-1].prefix; p.Bits() <= next.Bits() && p.Contains(next.Addr()) {
			return
		}
		w.leave()
	}
}

func (w *walk) leaveAll() {
	for len(w.around) > 0 {
		w.leave()
	}
}

// worst gives what holds most.
func (c *crowd) worst() *use {
	worst := &c.all
	for _, u := range c.uses {
		if u.cases > worst.cases || u.cases == worst.cases && u.text < worst.text {
			worst = u
		}
	}
	return worst
}

// leadsInto gives into how many sets of segments a part of a rule may lead, of which
// one is that of none.
func (c *crowd) leadsInto(p *Part) int {
	if c.zones == 0 {
		return 1
	}
	n := 0
	for _, s := range p.Dst {
		switch {
		case s.Kind == Any || s.Kind == Tagged:
			return 1 + c.zones
		case !s.isWho():
			n += c.use(s, Position{}).inside
		}
		for _, m := range c.names.members(s) {
			n += c.use(m, Position{}).inside
		}
	}
	return 1 + min(n, c.zones)
}

// variants gives how many rules a node is told for one of the file.
func (c *crowd) variants(r *Rule) int {
	times := 1
	if s, ok := c.names.schedules[r.When.Schedule]; ok {
		times = max(1, s.Weekly.Times())
	}
	if !r.Monitor.IsZero() {
		times++
	}
	kinds := max(1, len(r.Postures))
	if r.Postures != nil && slices.ContainsFunc(r.Src, Selector.mayStandBehind) {
		kinds++ // which needs no posture
	}
	n := 0
	for i := range r.Parts {
		n += kinds * times * c.leadsInto(&r.Parts[i])
	}
	return n
}

// weigh refuses a policy that would take too much memory.
func (r *ruleReader) weigh(p *Policy) {
	c := p.crowd(r.names)
	if c.cases > maxCases {
		u := c.worst()
		r.failIn(u.at, u.text, judge(
			fmt.Sprintf("the addresses that the file names fall %d times under a rule or a segment, and the limit is %d; %d of it because this stands in %d places", c.cases, maxCases, u.cases, u.places()),
			"join rules with the same purpose, or name CIDRs and groups instead of single addresses"))
	}
	all, most := 0, 0
	var worst *Rule
	weigh := func(rule *Rule) {
		n := c.variants(rule)
		all += n
		if n > most {
			most, worst = n, rule
		}
	}
	for i := range p.rules {
		weigh(&p.rules[i])
	}
	for rule := range p.Forbids() {
		weigh(rule)
	}
	if all > maxVariants {
		r.failIn(worst.Pos, "", judge(
			fmt.Sprintf("the rules come to %d when each is told once for each posture, span of its schedule and segment; the limit is %d, and this one comes to %d", all, maxVariants, most),
			"let it ask for fewer postures, keep a schedule of fewer spans, or lead to fewer segments at once"))
	}
}
