package diff

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/cordonmesh/cordon/acl/policy"
)

// namer gives sets of parties the names that people have for them.
type namer struct {
	*surveyed
	Options
	persons map[string][]int    // login -> parties
	tagged  map[string][]int    // tag -> parties
	groups  [2][]crowd          // of the policy that was, and that is
	leads   [2]map[string][]int // first member of groups -> their numbers
	bySort  [sorts][]int        // parties

	untagged bool // some nodes are nobody's and have no tag
	hosts    map[netip.Prefix]string
	terms    *lexicon
	work     *work
	all      int // persons with a node
}

// crowd is a name and who has it: logins, or tagged nodes by their number.
type crowd struct {
	name    string
	members []string
}

func newNamer(s *surveyed, j *judge, was, is *policy.Policy, o Options) *namer {
	n := &namer{surveyed: s, terms: j.terms, work: &j.work, Options: o, persons: make(map[string][]int), tagged: make(map[string][]int), hosts: make(map[netip.Prefix]string)}
	for i, p := range s.parties {
		at := p.sort()
		n.bySort[at] = append(n.bySort[at], i)
		switch at {
		case ofPeople:
			n.persons[p.node.User] = append(n.persons[p.node.User], i)
		case ofNobody:
			n.untagged = n.untagged || len(p.node.Tags) == 0
			for _, tag := range p.node.Tags {
				n.tagged[tag] = append(n.tagged[tag], i)
			}
		}
	}
	n.all = len(n.persons)
	for mesh, pol := range []*policy.Policy{was, is} {
		n.learn(mesh, pol)
	}
	return n
}

// learn takes on the names that a policy's rules use: those that its author
// thinks in.
func (n *namer) learn(mesh int, pol *policy.Policy) {
	groups := make(map[string]crowd)
	note := func(all []policy.Selector) {
		for _, s := range all {
			switch {
			case s.Kind == policy.Group && groups[s.Name].name == "":
				groups[s.Name] = n.crowd(pol, s.Name)
			case s.Kind == policy.Net && s.Name != s.Prefix.String() && s.Name != s.Prefix.Addr().String():
				n.hosts[s.Prefix] = s.Name
			}
		}
	}
	for _, r := range pol.Rules() {
		note(r.Src)
		for _, p := range r.Parts {
			note(p.Dst)
		}
	}
	n.groups[mesh] = slices.SortedFunc(maps.Values(groups), func(a, b crowd) int {
		return cmp.Or(cmp.Compare(len(b.members), len(a.members)), cmp.Compare(a.name, b.name))
	})
	n.leads[mesh] = make(map[string][]int)
	for at, g := range n.groups[mesh] {
		if len(g.members) > 0 {
			n.leads[mesh][g.members[0]] = append(n.leads[mesh][g.members[0]], at)
		}
	}
}

// crowd gives those members of a group who have a node.
func (n *namer) crowd(pol *policy.Policy, name string) crowd {
	logins, _ := pol.Group(name)
	c := crowd{name: name}
	for _, login := range logins {
		if len(n.persons[login]) > 0 {
			c.members = append(c.members, login)
		}
	}
	slices.Sort(c.members)
	c.members = slices.Compact(c.members)
	return c
}

// absent gives who has no node: of logins, and of groups of an identity provider.
func (n *namer) absent() func(login string) bool {
	there := make(map[string]bool)
	for i := range n.nodes {
		node := &n.nodes[i]
		for _, name := range slices.Concat([]string{node.User, node.UserName + "@"}, node.Also, node.Groups) {
			there[name] = there[name] || len(node.Tags) == 0
		}
	}
	return func(login string) bool { return !there[login] }
}

// change tells of a rectangle. A loss is told by the groups that were, all else by
// those that are.
func (n *namer) change(r rectangle) Change {
	n.work.spend(changeSteps)
	mesh := 1
	if r.how == lost || r.how == narrower {
		mesh = 0
	}
	var who, where Set
	var many bool
	if r.own {
		who, many = n.nameAll([sorts]portion{ofPeople: {parties: r.persons}}, mesh)
		where = Set{Own: true, Text: "their own nodes"}
	} else {
		who, many = n.name(r.from, mesh)
		where, _ = n.name(r.to, mesh)
	}
	c := Change{Who: who, Where: where, Services: serviceTexts(r.open), Open: r.open, With: n.words(r.with), Without: n.words(r.without)}
	c.Text = n.sentence(&c, r.how, many)
	return c
}

func (n *namer) words(terms int) string { return readable(n.terms.all[terms].text()) }

func (n *namer) sentence(c *Change, how how, many bool) string {
	verb, condition := "gain", ""
	if how == lost {
		verb = "lose"
	}
	switch {
	case how > lost:
		return fmt.Sprintf("%s at %s: for %s it changes from %s to %s%s", series(c.Services), c.Where.Text, c.Who.Text,
			cmp.Or(c.Without, unconditional), cmp.Or(c.With, unconditional), sense(how))
	case c.With != "":
		condition = " with " + c.With
	case c.Without != "":
		condition = " without " + c.Without
	}
	if !many {
		verb += "s"
	}
	return fmt.Sprintf("%s %s %s%s at %s", c.Who.Text, verb, series(c.Services), condition, c.Where.Text)
}

// sense tells whether a change of terms opens more or less, where that is known.
func sense(how how) string {
	switch how {
	case wider:
		return " (wider)"
	case narrower:
		return " (narrower)"
	}
	return ""
}

// unconditional names no terms.
const unconditional = "no condition"

// readable writes the spans of a condition as people do: mfa:within=12h, not 12h0m0s.
func readable(condition string) string {
	words := strings.Split(condition, " ")
	for i, word := range words {
		key, value, _ := strings.Cut(word, "=")
		if d, err := time.ParseDuration(value); err == nil {
			words[i] = key + "=" + policy.SpanText(d)
		}
	}
	return strings.Join(words, " ")
}

// wording is a name, and for how many it stands.
type wording struct {
	text  string
	count int
}

// takePeople takes out the people all of whose nodes are there.
func (n *namer) takePeople(left map[int]bool) []string {
	there := make(map[string]int)
	for p := range left {
		there[n.parties[p].owner()]++
	}
	var people []string
	for login, nodes := range there {
		if nodes == len(n.persons[login]) {
			people = append(people, login)
			for _, p := range n.persons[login] {
				delete(left, p)
			}
		}
	}
	slices.Sort(people)
	return people
}

// most is how many names of one sort are spelled out.
const most = 3

// peopleWords names people by the largest groups all of whose members are among
// them, and the rest by their logins.
func (n *namer) peopleWords(people []string, mesh int) []wording {
	if len(people) == n.all && n.all > 1 && !n.isGroup(people, mesh) {
		return []wording{{n.counted(n.all, "all ", "people", ""), n.all}}
	}
	left := make(map[string]bool, len(people))
	for _, login := range people {
		left[login] = true
	}
	var words []wording
	for _, at := range n.candidates(people, mesh) {
		g := n.groups[mesh][at]
		if !allIn(g.members, left) {
			continue
		}
		for _, login := range g.members {
			delete(left, login)
		}
		if len(g.members) == 1 && !n.Imagined {
			words = append(words, wording{g.members[0] + " (" + g.name + ")", 1})
			continue
		}
		words = append(words, wording{n.counted(len(g.members), "", "people", " in "+g.name), len(g.members) + n.plural()})
	}
	return append(n.several(words, "people", " in %d more groups"), listed(slices.Sorted(maps.Keys(left)), "people")...)
}

// candidates gives the groups whose first member is among some people, largest first: of
// thousands of groups, few are theirs.
func (n *namer) candidates(people []string, mesh int) []int {
	var all []int
	for _, login := range people {
		all = append(all, n.leads[mesh][login]...)
	}
	slices.Sort(all)
	return all
}

func (n *namer) isGroup(people []string, mesh int) bool {
	return slices.ContainsFunc(n.candidates(people, mesh), func(at int) bool { return slices.Equal(n.groups[mesh][at].members, people) })
}

// allIn tells whether there are members, and all are in a set.
func allIn[T comparable](members []T, set map[T]bool) bool {
	return len(members) > 0 && !slices.ContainsFunc(members, func(m T) bool { return !set[m] })
}

// tagWords names tagged nodes by the largest tags all of whose nodes are among
// them, and takes those out.
func (n *namer) tagWords(left map[int]bool) []wording {
	borne := make(map[string]bool) // of thousands of tags, few are theirs
	for p := range left {
		for _, tag := range n.parties[p].node.Tags {
			borne[tag] = true
		}
	}
	tags := slices.SortedFunc(maps.Keys(borne), func(a, b string) int {
		return cmp.Or(cmp.Compare(len(n.tagged[b]), len(n.tagged[a])), cmp.Compare(a, b))
	})
	var words []wording
	for _, tag := range tags {
		nodes := n.tagged[tag]
		if !allIn(nodes, left) {
			continue
		}
		for _, p := range nodes {
			delete(left, p)
		}
		if len(nodes) == 1 && !n.Imagined {
			words = append(words, wording{n.parties[nodes[0]].label() + " (" + tag + ")", 1})
			continue
		}
		words = append(words, wording{n.counted(len(nodes), "", "nodes", " with "+tag), len(nodes) + n.plural()})
	}
	return n.several(words, "nodes", " with %d more tags")
}

// labels names parties one by one.
func (n *namer) labels(parties map[int]bool) []string {
	var all []string
	for p := range parties {
		all = append(all, n.label(p))
	}
	slices.Sort(all)
	return all
}

// label names a party, and a network by the name that a policy has for it.
func (n *namer) label(p int) string {
	label := n.parties[p].label()
	if host, ok := n.hosts[n.parties[p].network]; ok {
		return host + " (" + label + ")"
	}
	return label
}

// listed names the first of some names, and counts the rest.
func listed(names []string, what string) []wording {
	var words []wording
	for i, name := range names {
		if i == most && len(names) > most+1 {
			return append(words, wording{fmt.Sprintf("%d more %s", len(names)-most, what), len(names) - most})
		}
		words = append(words, wording{name, 1})
	}
	return words
}

// several keeps the first wordings of many, and counts the rest.
func (n *namer) several(words []wording, what, groups string) []wording {
	if len(words) <= maxNamed+1 {
		return words
	}
	count := 0
	for _, w := range words[maxNamed:] {
		count += w.count
	}
	return append(words[:maxNamed:maxNamed], wording{n.counted(count, "", what, fmt.Sprintf(groups, len(words)-maxNamed)), count})
}

// counted gives "14 people in group:x", and of an imagined directory, whose
// numbers say nothing, "people in group:x".
func (n *namer) counted(count int, before, what, behind string) string {
	if n.Imagined {
		return before + what + behind
	}
	if count == 1 {
		what = strings.TrimSuffix(what, "s")
	}
	return fmt.Sprintf("%s%d %s%s", before, count, what, behind)
}

// plural makes one imagined node stand for the many that there may be.
func (n *namer) plural() int {
	if n.Imagined {
		return 1
	}
	return 0
}

// series gives "a", "a and b", "a, b and c".
func series(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " and " + words[len(words)-1]
}
