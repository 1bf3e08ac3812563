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
	persons map[string][]int // login -> parties
	tagged  map[string][]int // tag -> parties
	groups  [2][]crowd       // of the policy that was, and that is
	hosts   map[netip.Prefix]string
	terms   *lexicon
	all     int // persons with a node
}

// crowd is a name and who has it: logins, or tagged nodes by their number.
type crowd struct {
	name    string
	members []string
}

func newNamer(s *surveyed, words *lexicon, was, is *policy.Policy, o Options) *namer {
	n := &namer{surveyed: s, terms: words, Options: o, persons: make(map[string][]int), tagged: make(map[string][]int), hosts: make(map[netip.Prefix]string)}
	for i, p := range s.parties {
		switch {
		case p.network.IsValid():
		case len(p.node.Tags) > 0:
			for _, tag := range p.node.Tags {
				n.tagged[tag] = append(n.tagged[tag], i)
			}
		case p.node.User != "":
			n.persons[p.node.User] = append(n.persons[p.node.User], i)
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
	mesh := 1
	if r.how == lost || r.how == narrower {
		mesh = 0
	}
	who, many := n.name(r.from, mesh)
	where := Set{Own: true, Text: "their own nodes"}
	if !r.own {
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

// name names parties; many tells whether a verb behind the words is in plural.
func (n *namer) name(parties []int, mesh int) (s Set, many bool) {
	left := make(map[int]bool, len(parties))
	for _, p := range parties {
		left[p] = true
	}
	var words []string
	count := 0
	say := func(one ...wording) {
		for _, w := range one {
			words, count = append(words, w.text), count+w.count
		}
	}
	s.People = n.takePeople(left)
	say(n.peopleWords(s.People, mesh)...)
	s.Nodes = n.labels(left, false)
	say(n.tagWords(left)...)
	say(n.listWords(left, false)...)
	s.Networks = n.labels(left, true)
	say(n.listWords(left, true)...)
	s.Text = series(words)
	return s, count != 1
}

// wording is a name, and for how many it stands.
type wording struct {
	text  string
	count int
}

// takePeople takes out the people all of whose nodes are there.
func (n *namer) takePeople(left map[int]bool) []string {
	var people []string
	for login, nodes := range n.persons {
		if slices.ContainsFunc(nodes, func(p int) bool { return !left[p] }) {
			continue
		}
		people = append(people, login)
		for _, p := range nodes {
			delete(left, p)
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
	for _, g := range n.groups[mesh] {
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
	return append(words, listed(slices.Sorted(maps.Keys(left)), "people")...)
}

func (n *namer) isGroup(people []string, mesh int) bool {
	return slices.ContainsFunc(n.groups[mesh], func(g crowd) bool { return slices.Equal(g.members, people) })
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
		if party := n.parties[p]; !party.network.IsValid() {
			for _, tag := range party.node.Tags {
				borne[tag] = true
			}
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
	return words
}

// labels names the nodes, or the networks, one by one.
func (n *namer) labels(left map[int]bool, networks bool) []string {
	var all []string
	for p := range left {
		if n.parties[p].network.IsValid() == networks {
			all = append(all, n.label(p))
		}
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

func (n *namer) listWords(left map[int]bool, networks bool) []wording {
	if networks {
		return listed(n.labels(left, true), "networks")
	}
	return listed(n.labels(left, false), "nodes")
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
