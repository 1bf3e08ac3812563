package policy

import (
	"iter"
	"maps"
	"slices"
	"strings"
)

// Names gives what the policy defines and rules may name as a source or a
// destination: tags, groups, hosts, ipsets and segments, sorted.
func (p *Policy) Names() []string {
	if p == nil {
		return nil
	}
	all := slices.Concat(p.Tags(), p.Segments(), slices.Collect(maps.Keys(p.groups)), slices.Collect(maps.Keys(p.hosts)), slices.Collect(maps.Keys(p.ipsets)))
	slices.Sort(all)
	return all
}

// Nearest gives the known name that a mistyped one is likely meant for, or "": the one
// with the fewest typing errors between, two at most, and the first of several in the
// alphabet.
func Nearest(text string, known []string) string { return nearestOf(text, slices.Values(known)) }

// nearest is Nearest among the keys of a map. Large ones are not searched: a hostile
// file would make us slow.
func nearest[V any](text string, known map[string]V) string {
	const most = 500
	if len(known) > most {
		return ""
	}
	return nearestOf(text, maps.Keys(known))
}

func nearestOf(text string, known iter.Seq[string]) string {
	const typos, longest = 2, 40
	best, found := typos+1, ""
	if len(text) > longest {
		return ""
	}
	for name := range known {
		if len(name) > longest || max(len(name)-len(text), len(text)-len(name)) > typos {
			continue
		}
		d := distance(strings.ToLower(text), strings.ToLower(name))
		if d < best || (d == best && found != "" && name < found) {
			best, found = d, name
		}
	}
	if 2*best >= len(text) {
		return ""
	}
	return found
}

// distance counts the inserted, deleted, replaced and swapped bytes between two
// words (optimal string alignment).
func distance(a, b string) int {
	before, above, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range above {
		above[j] = j
	}
	for i := range len(a) {
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			row[j+1] = min(above[j]+cost, above[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, above, row = above, row, before
	}
	return above[len(b)]
}
