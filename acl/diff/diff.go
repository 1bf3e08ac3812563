// Package diff says what an edit of a policy does: who gains and who loses reach
// to what, in words that a reviewer can check against what was meant.
//
// It compares two meshes that were compiled from one directory, by the rules
// that their nodes would enforce, and not by the texts: a comment, another order
// or another spelling of the same changes nothing. What it promises:
//
//   - If it finds nothing, no packet between two nodes, or what is behind them,
//     fares otherwise than before.
//   - Its cost follows the sets that the policies cannot tell apart, and of those
//     the ones whose rules differ, not the pairs of nodes.
//   - Sources with equal gains share a line, and so do destinations.
//
// Where a rule to one's own nodes stays while another to all nodes goes, the loss
// is told of all nodes. Capabilities, ssh rules and attributes are not reach, and
// neither is autogroup:internet: nodes carry no default route.
package diff

import (
	"cmp"
	"slices"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/acl/compile"
)

// Diff is what an edit does, in an order that is the same in every run.
type Diff struct {
	Gained []Change `json:"gained"`
	Lost   []Change `json:"lost"`

	// Changed is what opens neither more nor less, or of which nobody can tell.
	Changed []Change `json:"changes"`

	// Untold tells that too much changes between nodes to be told: one of Changed says so,
	// and of reach there is nothing else.
	Untold bool `json:"untold,omitempty"`

	Steps int `json:"-"` // that it took
}

// Change is one thing that some sources may do at some destinations that they
// could not before, or can no longer.
type Change struct {
	Who      Set           `json:"who"`
	Where    Set           `json:"where"`
	Services []string      `json:"services"` // "tcp/443", "udp/53-54", "everything"
	Open     []acl.Service `json:"-"`        // the same; sorted, without overlap

	// With are the conditions under which alone the services are gained or lost;
	// Without, those under which they were open before, or stay open. Both are set
	// only where a condition takes the place of another.
	With    string `json:"with,omitempty"`
	Without string `json:"without,omitempty"`

	// Definition is the name of what rules use, or people, if that is what changes:
	// Who, Where and Services are empty then.
	Definition string `json:"definition,omitempty"`

	// Text is the whole of it in words: "14 people in group:radiology gain
	// tcp/3389 at 3 nodes with tag:ct".
	Text string `json:"text"`
}

// Set is some machines, and what is behind some.
type Set struct {
	People   []string `json:"people,omitempty"`   // logins of those all of whose nodes are meant
	Nodes    []string `json:"nodes,omitempty"`    // names of other nodes
	Networks []string `json:"networks,omitempty"` // "10.20.30.0/24 behind NODE"
	Own      bool     `json:"own,omitempty"`      // each person's own nodes, and nothing else

	// All are the sorts of which all are meant, but for what is in Except: "people",
	// "nodes" that are nobody's, "networks". So a large set does not list most of a mesh.
	All    []string `json:"all,omitempty"`
	Except *Set     `json:"except,omitempty"`

	Text string `json:"text"`
}

// Options say how to tell of a diff.
type Options struct {
	// Imagined tells that the directory is made up (see [Imagine]): how many nodes
	// a set has says nothing then, and is left out.
	Imagined bool

	// MaxSteps bounds the work of those who compare many; 0: that of one comparison.
	MaxSteps int
}

// Meshes compares two meshes with the same nodes. Their routes may differ.
func (o Options) Meshes(was, is *compile.Mesh) Diff {
	s := survey(was, is)
	j := newJudge(s, was, is)
	j.work.most = cmp.Or(o.MaxSteps, maxSteps)
	all := append(j.all(), j.own()...)
	names := newNamer(s, j, was.Policy(), is.Policy(), o)
	var d Diff
	for _, r := range all {
		if j.work.over() {
			break
		}
		d.add(r.how, names.change(r))
	}
	if j.work.over() {
		d = Diff{Untold: true}
		d.add(other, j.work.untold())
	}
	absent := names.absent()
	words := compareDefinitions(definitionsOf(was.Policy(), absent, o.Imagined), definitionsOf(is.Policy(), absent, o.Imagined), d.add)
	byText := func(a, b Change) int { return cmp.Compare(a.Text, b.Text) }
	slices.SortFunc(d.Gained, byText)
	slices.SortFunc(d.Lost, byText)
	slices.SortFunc(d.Changed, byText)
	d.Steps = j.work.steps + words
	return d
}

func (d *Diff) add(how how, c Change) {
	switch how {
	case gained, wider:
		d.Gained = append(d.Gained, c)
	case lost, narrower:
		d.Lost = append(d.Lost, c)
	case other:
		d.Changed = append(d.Changed, c)
	}
}

// Meshes is Meshes of the zero [Options].
func Meshes(was, is *compile.Mesh) Diff { return Options{}.Meshes(was, is) }

// Empty tells that no one gains or loses anything.
func (d Diff) Empty() bool { return len(d.Gained)+len(d.Lost)+len(d.Changed) == 0 }
