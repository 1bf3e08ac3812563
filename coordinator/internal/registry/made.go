package registry

import (
	"cmp"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"
)

// Made is something that a person made while they operated the mesh. Whoever is about to
// lose their rights makes what shall outlive these: what holds power by itself ends with
// them, and what others may live by is told, for an admin to look at.
type Made struct {
	Kind MadeKind
	Name string
	At   time.Time // zero: not known
	Void bool      // it ended just now
}

// MadeKind says what it is.
type MadeKind string

// The kinds. Roles are beside them, as Grant. Of what is neither here nor there, such as
// who was shut out or signed out, the audit tells.
const (
	MadeToken   MadeKind = "token"
	MadeLink    MadeKind = "link"    // to set up; Name is whose
	MadePerson  MadeKind = "person"  // whom they enabled; or of the coordinator's own, who was added, given a link that was spent, or groups
	MadeMachine MadeKind = "machine" // that came by their token, or that they approved, tagged or renewed last
	MadeRoute   MadeKind = "route"
	MadePolicy  MadeKind = "policy"  // in force
	MadeRecords MadeKind = "records" // of a directory, by a token of theirs: as many as may be, so they are counted
)

// Vouch is who last said that a machine is what it is, or that somebody may come again.
type Vouch struct {
	By Actor     `json:"by"`
	At time.Time `json:"at"`
}

// Given tells that somebody gave a person of LocalIssuer something by which they are
// somebody: themselves, a link that was spent, or groups.
type Given struct {
	Maker string    `json:"maker"` // id of the person
	At    time.Time `json:"at"`
}

// maxGiven bounds of how many givers is known who gave one person something.
const maxGiven = 16

// give notes that whoever asks gave the person something; an operator at the coordinator
// is nobody to be doubted.
func (l *Local) give(maker string, now time.Time) {
	if maker == "" {
		return
	}
	kept := slices.DeleteFunc(slices.Clone(l.Given), func(g Given) bool { return g.Maker == maker })
	kept = append(kept, Given{maker, now})
	l.Given = kept[max(0, len(kept)-maxGiven):]
}

// inNameOf gives the id of the person in whose name an actor is; empty: none.
func (s *State) inNameOf(actor Actor) string {
	id, came := tokenOf(actor)
	if !came {
		return ""
	}
	return s.operatorOf(id)
}

// operatorOf gives the id of the person whose admin session a token is, or by whose it
// was made; empty: none.
func (s *State) operatorOf(token string) string {
	t, ok := s.Token(token)
	if !ok {
		return ""
	}
	return cmp.Or(t.Holder, t.Maker)
}

// voucher gives in whose name a machine is what it is, and since when.
func (s *State) voucher(n *Node) (maker string, at time.Time) {
	if n.Vouched != nil {
		return s.inNameOf(n.Vouched.By), n.Vouched.At
	}
	return s.operatorOf(n.Token), n.Created
}

// vouch notes who says that a machine is what it is from now on: whoever changes that, or
// says the same again where whoever said it before is out.
func (d *decision) vouch(n, next *Node) {
	before, _ := d.state.voucher(n)
	if difference(n, next) != "" || before != "" && d.state.out(before) && d.granter() != before {
		next.Vouched = &Vouch{By: d.actor, At: d.now}
	}
}

// out tells whether a person may operate no more, whatever their roles are.
func (s *State) out(user string) bool {
	u, known := s.User(user)
	return !known || u.ShutOut()
}

// standing gives all that stands and that some person made, with their id.
func (s *State) standing() iter.Seq2[string, Made] {
	return func(yield func(string, Made) bool) {
		for _, part := range []func(func(string, Made) bool) bool{s.madePeople, s.madeMachines, s.madePolicy, s.madeRecords} {
			if !part(yield) {
				return
			}
		}
	}
}

func (s *State) madePeople(yield func(string, Made) bool) bool {
	for u := range s.Users() {
		if u.Enabled == nil || u.ShutOut() {
			continue
		}
		if by := s.inNameOf(u.Enabled.By); by != "" && !yield(by, Made{Kind: MadePerson, Name: u.Login, At: u.Enabled.At}) {
			return false
		}
	}
	for l := range s.locals.Values() {
		u, known := s.User(l.User)
		for _, g := range l.Given {
			if known && !u.ShutOut() && !yield(g.Maker, Made{Kind: MadePerson, Name: u.Login, At: g.At}) {
				return false
			}
		}
	}
	return true
}

func (s *State) madeMachines(yield func(string, Made) bool) bool {
	for n := range s.Nodes() {
		maker, at := s.voucher(n)
		if s.Admitted(n) && maker != "" && !yield(maker, Made{Kind: MadeMachine, Name: n.Name, At: at}) {
			return false
		}
		for _, p := range n.Routes() {
			by := s.inNameOf(Actor(n.ApprovedRoutes[p]))
			if by != "" && !yield(by, Made{Kind: MadeRoute, Name: fmt.Sprintf("%s behind %s", p, n.Name)}) {
				return false
			}
		}
	}
	return true
}

// madeRecords tells of people and groups of whom a directory speaks by a token that
// somebody made: whoever has that token is the directory.
func (s *State) madeRecords(yield func(string, Made) bool) bool {
	people, groups, last := map[string]int{}, map[string]int{}, map[string]time.Time{}
	note := func(counts map[string]int, token string, at time.Time) {
		if s.operatorOf(token) == "" {
			return
		}
		if counts[token]++; at.After(last[token]) {
			last[token] = at
		}
	}
	for u := range s.Users() {
		if u.Provision != nil && !u.Provision.Deleted && !u.ShutOut() {
			note(people, u.Provision.By, u.Provision.Changed)
		}
	}
	for g := range s.groups.Values() {
		note(groups, g.By, g.Changed)
	}
	for token, at := range last {
		name := fmt.Sprintf("by token %s (people: %d, groups: %d)", token, people[token], groups[token])
		if !yield(s.operatorOf(token), Made{Kind: MadeRecords, Name: name, At: at}) {
			return false
		}
	}
	return true
}

func (s *State) madePolicy(yield func(string, Made) bool) bool {
	v := s.Policy()
	if v == nil || s.inNameOf(v.Author) == "" {
		return true
	}
	return yield(s.inNameOf(v.Author), Made{Kind: MadePolicy, Name: fmt.Sprintf("of revision %d", v.Revision), At: v.Time})
}

// MadeBy gives what stands that a person made, by kind and name. It looks at everything,
// unless they never operated.
func (s *State) MadeBy(user string) (all []Made) {
	if !slices.ContainsFunc(s.Tokens(), func(t *Token) bool { return t.Holder == user }) {
		return nil
	}
	for maker, m := range s.standing() {
		if maker == user {
			all = append(all, m)
		}
	}
	sortMade(all)
	return all
}

// Leavings gives, by their maker's id, what people made since a time who are out now, and
// that stands.
func (s *State) Leavings(since time.Time) map[string][]Made {
	all := map[string][]Made{}
	for maker, m := range s.standing() {
		if m.At.After(since) && s.out(maker) {
			all[maker] = append(all[maker], m)
		}
	}
	for _, of := range all {
		sortMade(of)
	}
	return all
}

func sortMade(all []Made) {
	slices.SortFunc(all, func(a, b Made) int {
		return cmp.Or(strings.Compare(string(a.Kind), string(b.Kind)), strings.Compare(a.Name, b.Name))
	})
}

// MadeText tells in a line what somebody made: the first few of it.
func MadeText(all []Made) string {
	const most = 20
	var told []string
	for _, m := range all[:min(len(all), most)] {
		told = append(told, string(m.Kind)+" "+m.Name)
	}
	if more := len(all) - len(told); more > 0 {
		told = append(told, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(told, ", ")
}

// survey tells what a person made who has no rights any more, and that stands.
func (d *decision) survey(u *User) {
	all := d.state.MadeBy(u.ID)
	if len(all) == 0 {
		return
	}
	d.result.Made = append(d.result.Made, all...)
	d.record("user.made", u.ID, "login %s: what they made stands: %s", u.Login, MadeText(all))
	d.warn("%s made what stands: %s: `cordonctl warnings`", u.Login, MadeText(all))
}

// voided notes what ended with the rights of whoever made it.
func (d *decision) voided(kind MadeKind, name string, at time.Time) {
	d.result.Made = append(d.result.Made, Made{Kind: kind, Name: name, At: at, Void: true})
}
