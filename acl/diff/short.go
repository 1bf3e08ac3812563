package diff

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"strings"
)

// What an edit does is told by whoever judges it, in words of the file's author. A file of
// few megabytes may give each of thousands of attributes to a list of thousands: told
// whole, that came to more memory than a coordinator has. So what is told has bounds.
const (
	maxText  = 400     // bytes of what one line names
	maxNamed = 20      // of one list
	maxTold  = 10_000  // changes of one kind that are no reach
	maxTimes = 400_000 // openings of schedules that are compared; beyond, nobody can tell
	fewNames = 3       // that stay are named, and more are counted
)

// short cuts a long text. What stands behind the cut still counts.
func short(text string) string {
	if len(text) <= maxText {
		return text
	}
	sum := sha256.Sum256([]byte(text))
	return fmt.Sprintf("%s ... (%x)", strings.ToValidUTF8(text[:maxText], ""), sum[:6])
}

// instead gives "2 instead of 1", and of long lists what differs alone.
func (f *field) instead(was *field) string {
	come, stay, gone := versus(f.values, was.values)
	before := fmt.Sprintf("%d as before", stay)
	switch {
	case stay <= fewNames:
		return told(f.values) + " instead of " + told(was.values)
	case len(come) == 0:
		return before + " without " + told(gone)
	case len(gone) == 0:
		return told(come) + " besides " + before
	}
	return before + " and " + told(come) + " instead of " + told(gone)
}

// told names the first of many, and counts the rest.
func told(names []string) string {
	if len(names) > maxNamed+1 {
		names = append(names[:maxNamed:maxNamed], fmt.Sprintf("%d others", len(names)-maxNamed))
	}
	return cmp.Or(short(series(names)), "nothing")
}

// versus tells two sorted lists apart: what is in the first alone, how many are in both,
// and what is in the second alone.
func versus(a, b []string) (first []string, both int, second []string) {
	for len(a) > 0 && len(b) > 0 {
		switch strings.Compare(a[0], b[0]) {
		case -1:
			first, a = append(first, a[0]), a[1:]
		case 1:
			second, b = append(second, b[0]), b[1:]
		default:
			both, a, b = both+1, a[1:], b[1:]
		}
	}
	return append(first, a...), both, append(second, b...)
}
