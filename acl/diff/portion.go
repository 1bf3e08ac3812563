package diff

import (
	"fmt"
	"maps"
	"slices"
)

// sort is what a party is: each sort is named by itself.
type sort int

const (
	ofPeople sort = iota // nodes of people
	ofNobody             // other nodes
	behind               // networks behind nodes
	sorts
)

func (p party) sort() sort {
	switch {
	case p.network.IsValid():
		return behind
	case p.owner() != "":
		return ofPeople
	}
	return ofNobody
}

// portion is some parties of one sort, or all but some: an edit may open all of a mesh to
// each of thousands, but for the few that it could reach already.
type portion struct {
	parties []int
	allBut  bool
}

// few is how many exceptions there may be for each that is meant, and how many are listed
// at least.
const (
	fewExceptions = 1.0 / 4
	alwaysListed  = 100
)

// portions gives what is in a set of kinds, by sort.
func (n *namer) portions(kinds set) (all [sorts]portion) {
	without := kinds.count() > len(n.kinds)/2
	fewer := kinds
	if without {
		fewer = kinds.rest(len(n.kinds))
	}
	n.work.spend(4 * len(fewer))
	var stand [sorts][]int // of the fewer kinds: those in the set, or those out of it
	for k := range fewer.all {
		for _, p := range n.kinds[k].parties {
			at := n.parties[p].sort()
			stand[at] = append(stand[at], p)
		}
	}
	for at, parties := range stand {
		slices.Sort(parties)
		all[at] = n.portion(parties, n.bySort[at], without)
	}
	return all
}

// portion gives some of all parties of a sort, or those without some, whichever is said
// with fewer words.
func (n *namer) portion(some, all []int, without bool) portion {
	in, out := len(some), len(all)-len(some)
	if without {
		in, out = out, in
	}
	allBut := in > alwaysListed && float64(out) <= fewExceptions*float64(in)
	if allBut != without {
		some = beside(all, some)
	}
	return portion{some, allBut}
}

// beside gives what is in the first of two ascending lists and not in the second.
func beside(all, some []int) []int {
	var rest []int
	for _, p := range all {
		if len(some) > 0 && some[0] == p {
			some = some[1:]
			continue
		}
		rest = append(rest, p)
	}
	return rest
}

// name names what is in a set of kinds; many tells whether a verb behind the words is in
// plural.
func (n *namer) name(kinds set, mesh int) (s Set, many bool) {
	return n.nameAll(n.portions(kinds), mesh)
}

func (n *namer) nameAll(all [sorts]portion, mesh int) (s Set, many bool) {
	for _, some := range all {
		n.work.spend(nameSteps * len(some.parties))
	}
	var words []wording
	left := make(map[int]bool) // nodes
	if people := all[ofPeople]; people.allBut {
		words = append(words, n.allPeopleBut(people.parties, mesh, &s, left))
	} else {
		note(left, people.parties)
		s.People = n.takePeople(left)
		words = n.peopleWords(s.People, mesh)
	}
	if nodes := all[ofNobody]; nodes.allBut {
		words = append(words, n.allNodesBut(nodes.parties, &s))
	} else {
		note(left, nodes.parties)
	}
	s.Nodes = n.labels(left)
	words = append(append(words, n.tagWords(left)...), listed(n.labels(left), "nodes")...)
	if networks := all[behind]; networks.allBut {
		words = append(words, n.allNetworksBut(networks.parties, &s))
	} else {
		s.Networks = n.labels(noted(networks.parties))
		words = append(words, listed(s.Networks, "networks")...)
	}
	count := 0
	texts := make([]string, len(words))
	for i, w := range words {
		texts[i] = w.text
		count += w.count
	}
	s.Text = series(texts)
	return s, count != 1
}

func noted(parties []int) map[int]bool {
	all := make(map[int]bool, len(parties))
	note(all, parties)
	return all
}

func note(all map[int]bool, parties []int) {
	for _, p := range parties {
		all[p] = true
	}
}

// except says that all of a sort are meant but for some.
func (s *Set) except(what string, names []string) *Set {
	s.All = append(s.All, what)
	if s.Except == nil && len(names) > 0 {
		s.Except = new(Set)
	}
	return s.Except
}

// allPeopleBut names all people but those of whom some nodes are left out. What they have
// besides is left to be named.
func (n *namer) allPeopleBut(out []int, mesh int, s *Set, left map[int]bool) wording {
	logins := make(map[string]bool)
	for _, p := range out {
		logins[n.parties[p].owner()] = true
	}
	names, gone := slices.Sorted(maps.Keys(logins)), noted(out)
	for _, login := range names {
		for _, p := range n.persons[login] {
			if !gone[p] {
				left[p] = true
			}
		}
	}
	if e := s.except("people", names); len(names) > 0 {
		e.People = names
	}
	return n.allBut(n.all, len(names), "people", n.peopleWords(names, mesh))
}

func (n *namer) allNodesBut(out []int, s *Set) wording {
	left := noted(out)
	names := n.labels(left)
	if e := s.except("nodes", names); len(names) > 0 {
		e.Nodes = names
	}
	what := "tagged nodes"
	if n.untagged {
		what = "nodes of nobody"
	}
	return n.allBut(len(n.bySort[ofNobody]), len(out), what, append(n.tagWords(left), listed(n.labels(left), "nodes")...))
}

func (n *namer) allNetworksBut(out []int, s *Set) wording {
	names := n.labels(noted(out))
	if e := s.except("networks", names); len(names) > 0 {
		e.Networks = names
	}
	return n.allBut(len(n.bySort[behind]), len(out), "networks", listed(names, "networks"))
}

// allBut gives "all 300 tagged nodes (but archive and 4 nodes with tag:ct)".
func (n *namer) allBut(count, without int, what string, out []wording) wording {
	text := n.counted(count, "all ", what, "")
	if len(out) > 0 {
		texts := make([]string, len(out))
		for i, w := range out {
			texts[i] = w.text
		}
		text += fmt.Sprintf(" (but %s)", series(texts))
	}
	return wording{text, count - without}
}
