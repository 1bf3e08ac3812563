package policy

import (
	"slices"
	"strings"
)

// opened finds, among the rules that ask for nothing, those of which a source may pick
// all that a name picks.
type opened struct {
	names *names
	at    map[string][]int    // the rules in their order, by the key of a source
	in    map[string][]string // of each login: the groups that are sources, each by its key
}

// byAddress is the key of sources that pick by address.
const byAddress = "net:"

// add notes a rule by its sources, and by a group's own name: by those of its people each
// of a thousand rules would stand in a hundred thousand places.
func (o *opened) add(rule int, src []Selector) {
	var keys []string
	for _, x := range src {
		for _, one := range append([]Selector{x}, o.names.members(x)...) {
			keys = append(keys, one.Key())
			switch one.Kind {
			case Net, Set:
				keys = append(keys, byAddress)
			case Group:
				o.enrol(one)
			}
		}
	}
	slices.Sort(keys)
	for _, key := range slices.Compact(keys) {
		o.at[key] = append(o.at[key], rule)
	}
}

// enrol notes who is in a group, once.
func (o *opened) enrol(group Selector) {
	if _, known := o.at[group.Key()]; known {
		return
	}
	for _, login := range o.names.roll[group.Name] {
		o.in[login] = append(o.in[login], group.Key())
	}
}

// pickedBy gives keys under which are all rules of which a source picks all that
// another does.
func (o *opened) pickedBy(x Selector) []string {
	keys := []string{x.Key(), "*", "autogroup:danger-all"}
	person := func(login string) {
		_, domain, _ := strings.Cut(login, "@")
		keys = append(keys, "autogroup:member", Selector{Kind: User, Name: login}.Key(), "user:*@"+domain)
		keys = append(keys, o.in[login]...)
	}
	switch x.Kind {
	case User:
		person(x.Name)
	case Group:
		for _, login := range o.names.groups[x.Name][:min(1, len(o.names.groups[x.Name]))] {
			person(login)
		}
	case Domain, Role:
		keys = append(keys, "autogroup:member")
	case Tag:
		keys = append(keys, "autogroup:tagged")
	case Net, Set:
		keys = append(keys, byAddress)
	case InSegment:
		for _, m := range o.names.members(x)[:min(1, len(o.names.members(x)))] {
			keys = append(keys, o.pickedBy(m)...)
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}
