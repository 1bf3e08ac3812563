package compile

import (
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/gaissmai/bart"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/acl/policy"
)

// selector is the number of a name that rules use, in the order of the names'
// texts. Numbers mean something within one book only.
type selector = int32

const unused selector = -1

// book is a policy made ready for asking: its selectors and its parts numbered,
// and an index from each selector to the parts that it opens.
type book struct {
	texts    []string // selector -> its canonical text, sorted
	byLogin  map[string][]selector
	byDomain map[string]selector
	byRole   map[string]selector
	byGroup  map[string][]selector // groups of an identity provider, and the policy's own
	byTag    map[string]selector
	literals map[netip.Prefix][]selector
	machines *bart.Table[[]selector] // of addresses that stand for all of a machine
	vias     map[string][]int32      // tag -> numbers of the via lists that name it

	anySrc, anyDst, member, tagged, beyond selector // unused when no rule has them

	parts        []*part
	outward      []int32   // indexes of the parts that land on exit nodes whatever those have, ascending
	asSrc, asDst [][]int32 // selector -> indexes of parts, ascending
	hasSelf      bool
	farther      bool   // some part is from what stands behind gateways alone
	spares       []bool // selector -> a part of which it is a source asks less of what stands behind gateways
	signIn       bool   // people must be signed in

	needs      map[acl.Fact]need          // that some rule may ask for
	schedules  map[string]policy.Schedule // that some rule keeps
	segments   []policy.Segment           // by name
	floors     bool                       // one of them asks for something
	proofs     bool                       // one of them asks for what a person proves
	segmentsOf [][]int32                  // selector -> indexes of the segments of which it is a member; nil without any
	zones      map[string]*zone           // by those indexes
	glasses    map[string]policy.BreakGlass

	factSteps, textSteps int // of making all facts, and of looking at all parts for a hint
}

// part is one part of a rule, with the classes that match it now.
type part struct {
	rule     *policy.Rule
	words    *policy.Part // the part as written
	at       int32        // its index in the book
	via      int32        // number of its via list, or anyWay
	self     bool
	internet bool
	open     []acl.Service
	app      []policy.Capability
	forbid   bool
	people   []policy.Selector // of a shared device: for whom it is
	person   acl.Fact          // who sits at the source, a shared device; empty: a source like any other
	cut      cut               // of its sources: it may ask some of them for less than others
	grounds  map[groundKey][]ground
	latest   keyed                  // of those, what was asked for last: most parts are asked for one
	whens    map[groundKey][]string // the same in words
	src, dst []selector

	// Parts with the same selectors share a list: a thousand rules from * have one.
	srcClasses, dstClasses *classList
}

// anyWay is the via of a part that does not say which routers to lead through.
const anyWay int32 = -1

func newBook(pol *policy.Policy, signIn bool) *book {
	b := &book{
		signIn:  signIn,
		byLogin: make(map[string][]selector), byDomain: make(map[string]selector), byRole: make(map[string]selector),
		byGroup: make(map[string][]selector), glasses: make(map[string]policy.BreakGlass), zones: make(map[string]*zone), needs: make(map[acl.Fact]need),
		byTag: make(map[string]selector), literals: make(map[netip.Prefix][]selector), vias: make(map[string][]int32),
		machines: new(bart.Table[[]selector]),
	}
	d := drafts{pol: pol, numbers: make(map[string]int32)}
	d.all()
	if signIn {
		d.use(memberText, policy.Selector{Kind: policy.Member})
	}
	b.texts = make([]string, len(d.used))
	ids, numbers := make(map[string]selector, len(d.used)), make([]selector, len(d.used))
	for i, at := range d.sorted() {
		b.texts[i], numbers[at] = d.texts[at], selector(i)
		ids[d.texts[at]] = selector(i)
		if strings.HasPrefix(d.texts[at], machineText) {
			b.indexMachines(d.used[at], selector(i), pol)
			continue
		}
		b.index(d.used[at], selector(i), pol)
	}
	b.anySrc, b.anyDst = idOf(ids, anySrcText), idOf(ids, anyDstText)
	b.member, b.tagged, b.beyond = idOf(ids, memberText), idOf(ids, taggedText), idOf(ids, beyondText)
	b.schedules = d.schedules
	b.zone(pol, ids)
	src, dst, ways := make(lists), make(lists), make(map[string]int32)
	parts, ends := make([]part, len(d.parts)), make([]selector, 0, len(d.ends))
	b.makeRoom(d.parts, numbers)
	b.parts = make([]*part, 0, len(d.parts))
	for i := range parts {
		p := &parts[i]
		ends = b.add(p, &d.parts[i], numbers, ends)
		p.via = b.way(p.rule.Via, ways)
		from := p.src
		if p.rule.Beyond { // which fewer classes match
			from = append(slices.Clip(from), b.beyond)
		}
		p.srcClasses, p.dstClasses = src.of(from), dst.of(p.dst)
	}
	for _, by := range []map[string][]selector{b.byLogin, b.byGroup} {
		for name := range by {
			slices.Sort(by[name])
		}
	}
	b.weighSteps(pol)
	return b
}

// way numbers a list of tags that a rule leads through. The number is the same
// for the same tags in another order.
func (b *book) way(tags []string, known map[string]int32) int32 {
	if len(tags) == 0 {
		return anyWay
	}
	tags = slices.Compact(slices.Sorted(slices.Values(tags)))
	key := strings.Join(tags, " ")
	number, ok := known[key]
	if !ok {
		number = int32(len(known))
		known[key] = number
		for _, tag := range tags {
			b.vias[tag] = append(b.vias[tag], number)
		}
	}
	return number
}

func idOf(ids map[string]selector, text string) selector {
	if id, ok := ids[text]; ok {
		return id
	}
	return unused
}

// index makes a selector findable from what it selects.
func (b *book) index(s policy.Selector, id selector, pol *policy.Policy) {
	switch s.Kind {
	case policy.User:
		b.byLogin[s.Name] = append(b.byLogin[s.Name], id)
	case policy.Group:
		members, _ := pol.Group(s.Name)
		for _, member := range append(slices.Clip(members), s.Name) {
			by := b.byLogin
			if strings.Contains(member, ":") {
				by = b.byGroup
			}
			if ids := by[member]; len(ids) == 0 || ids[len(ids)-1] != id { // who stands in it twice does so now
				by[member] = append(ids, id)
			}
		}
	case policy.Domain:
		_, domain, _ := strings.Cut(s.Name, "@")
		b.byDomain[domain] = id
	case policy.Role:
		b.byRole[strings.TrimPrefix(s.Name, "autogroup:")] = id
	case policy.Tag:
		b.byTag[s.Name] = id
	default:
		for _, prefix := range spans(s, pol) {
			b.literals[prefix] = append(b.literals[prefix], id)
		}
	}
}

func (b *book) indexMachines(s policy.Selector, id selector, pol *policy.Policy) {
	for _, prefix := range spans(s, pol) {
		ids, _ := b.machines.Get(prefix)
		b.machines.Insert(prefix, append(ids, id))
	}
}

// makeRoom makes room for the numbers of the parts of each selector, all at once: there
// are thousands.
func (b *book) makeRoom(parts []draft, numbers []selector) {
	src, dst := make([]int, len(b.texts)), make([]int, len(b.texts))
	for i := range parts {
		for _, at := range parts[i].src {
			src[numbers[at]]++
		}
		for _, at := range parts[i].dst {
			dst[numbers[at]]++
		}
	}
	b.asSrc, b.asDst, b.spares = rows(src), rows(dst), make([]bool, len(b.texts))
}

// rows gives empty lists that each have room for so many, of one piece.
func rows(sizes []int) [][]int32 {
	all := 0
	for _, n := range sizes {
		all += n
	}
	room, lists := make([]int32, all), make([][]int32, len(sizes))
	for i, n := range sizes {
		lists[i], room = room[:0:n], room[n:]
	}
	return lists
}

// add adds a part, whose selectors are known by what numbers theirs became. Those it
// puts into ends, which it gives back.
func (b *book) add(p *part, r *draft, numbers, ends []selector) []selector {
	*p = part{
		rule: r.rule, words: r.part, at: int32(len(b.parts)), self: r.part.Self, internet: r.part.Internet || r.internet,
		open: r.part.Open, app: r.part.App, forbid: r.forbid, people: r.people, person: r.person,
	}
	b.learn(p)
	switch {
	case p.person != "":
		p.cut = asPeople
	case !p.forbid && (b.signIn || r.rule.Section != "segments" && (b.floors || aboutPeople(&r.rule.When))):
		p.cut = byHuman
	}
	p.src, ends = numbered(r.src, numbers, ends)
	if r.spares() {
		p.cut |= byBeyond
		for _, id := range p.src {
			b.spares[id] = true
		}
	}
	p.dst, ends = numbered(r.dst, numbers, ends)
	for _, id := range p.src {
		b.asSrc[id] = append(b.asSrc[id], p.at)
	}
	for _, id := range p.dst {
		b.asDst[id] = append(b.asDst[id], p.at)
	}
	if p.outward() {
		b.outward = append(b.outward, p.at)
	}
	b.parts = append(b.parts, p)
	b.hasSelf, b.farther = b.hasSelf || p.self, b.farther || r.rule.Beyond
	return ends
}

// numbered gives the selectors that drafts' numbers became, sorted, at the end of a list
// of others.
func numbered(drafted []int32, numbers, others []selector) (ids, all []selector) {
	first := len(others)
	for _, at := range drafted {
		others = append(others, numbers[at])
	}
	return slices.Clip(sortedSet(others[first:])), others
}

// lists are the lists of classes of one side of the parts, by selectors.
type lists map[string]*classList

func (l lists) of(ids []selector) *classList {
	var short [32]byte
	key := appendSign(short[:0], ids)
	list, ok := l[string(key)]
	if !ok {
		list = &classList{side: new(side)}
		l[string(key)] = list
	}
	return list
}

// same tells whether two books surely say the same of every node there could be.
// Where in the file a rule stands does not matter.
func (b *book) same(o *book) bool {
	return slices.EqualFunc(b.segments, o.segments, sameSegment) && maps.EqualFunc(b.glasses, o.glasses, sameGlass) &&
		maps.EqualFunc(b.schedules, o.schedules, sameSchedule) &&
		maps.EqualFunc(b.byGroup, o.byGroup, slices.Equal[[]selector]) && slices.Equal(b.texts, o.texts) && maps.Equal(b.byTag, o.byTag) && maps.Equal(b.byDomain, o.byDomain) && maps.Equal(b.byRole, o.byRole) &&
		maps.EqualFunc(b.literals, o.literals, slices.Equal[[]selector]) && maps.EqualFunc(maps.Collect(b.machines.All()), maps.Collect(o.machines.All()), slices.Equal[[]selector]) && maps.EqualFunc(b.vias, o.vias, slices.Equal[[]int32]) &&
		maps.EqualFunc(b.byLogin, o.byLogin, slices.Equal[[]selector]) && slices.EqualFunc(b.parts, o.parts, samePart)
}

func samePart(x, y *part) bool {
	return x.rule.ID == y.rule.ID && x.self == y.self && x.internet == y.internet && x.via == y.via && slices.Equal(x.open, y.open) &&
		slices.Equal(x.src, y.src) && slices.Equal(x.dst, y.dst) && x.forbid == y.forbid && x.person == y.person && sameTerms(x.rule, y.rule) &&
		slices.EqualFunc(x.app, y.app, func(a, b policy.Capability) bool { return a.Name == b.Name && slices.Equal(a.Values, b.Values) })
}

// of gives the selectors that all of a node's addresses match, by what the node is or
// by one of them.
func (b *book) of(n Node) []selector {
	var all []selector
	switch {
	case len(n.Tags) > 0:
		all = append(all, b.tagged)
		for _, tag := range n.Tags {
			if id, ok := b.byTag[tag]; ok {
				all = append(all, id)
			}
		}
	case n.User != "":
		all = append(append(all, b.member), b.byLogin[n.UserName+"@"]...)
		for _, role := range n.Roles {
			all = append(all, idOf(b.byRole, role))
		}
		for login := range n.logins() {
			_, domain, _ := strings.Cut(login, "@")
			all = append(append(all, idOf(b.byDomain, domain)), b.byLogin[login]...)
		}
		for _, group := range n.Groups {
			all = append(all, b.byGroup[group]...)
		}
	}
	return sortedSet(append(all, b.named(n.Addrs)...))
}

// named gives the selectors that stand for all of a machine that has some addresses.
func (b *book) named(addrs []netip.Addr) []selector {
	var all []selector
	for _, a := range addrs {
		for _, ids := range b.machines.Supernets(single(a)) {
			all = append(all, ids...)
		}
	}
	return all
}

// waysOf gives the numbers of the via lists that name one of a node's tags.
func (b *book) waysOf(n Node) []int32 {
	var all []int32
	for _, tag := range n.Tags {
		all = append(all, b.vias[tag]...)
	}
	return sortedSet(all)
}

// sortedSet sorts in place, and drops duplicates and unused selectors.
func sortedSet(ids []int32) []int32 {
	slices.Sort(ids)
	ids = slices.Compact(ids)
	if len(ids) > 0 && ids[0] == unused {
		ids = ids[1:]
	}
	return ids
}
