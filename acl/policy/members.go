package policy

import "slices"

// roll is who is in each group, sorted: ten thousand rules may name one group of a hundred
// thousand, and an index for each of them would be a bomb.
type roll map[string][]string

func rollOf(groups map[string][]string) roll {
	all := make(roll, len(groups))
	for group, who := range groups {
		all[group] = slices.Sorted(slices.Values(who))
	}
	return all
}

func (r roll) has(group, who string) bool {
	_, found := slices.BinarySearch(r[group], who)
	return found
}

// InGroup tells whether a login, or the name of a group elsewhere, is written in a group.
func (p *Policy) InGroup(group, who string) bool { return p != nil && p.roll.has(group, who) }
