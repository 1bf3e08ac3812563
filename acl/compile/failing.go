package compile

import "fmt"

// maxFailures bounds how many failures of a policy's tests are told of, and how many
// tests that could not be judged: nobody would read the rest.
const maxFailures = 100

// failing gathers what fails, each thing once.
type failing struct {
	all         []TestFailure
	told        map[TestFailure]bool
	failed      int
	unjudged    int
	firstFailed TestFailure // of those that are left out
	firstOpen   TestFailure // likewise
}

func newFailing() *failing { return &failing{told: make(map[TestFailure]bool)} }

func (f *failing) add(one TestFailure) {
	if f.told[one] {
		return
	}
	f.told[one] = true // of those that are left out too, which are counted
	count, first := &f.failed, &f.firstFailed
	if one.NoDevice {
		count, first = &f.unjudged, &f.firstOpen
	}
	switch *count++; {
	case *count <= maxFailures:
		f.all = append(f.all, one)
	case *count == maxFailures+1:
		*first = one
	}
}

// list gives the failures, with a word about those that are left out.
func (f *failing) list() []TestFailure {
	if more := f.failed - maxFailures; more > 0 {
		f.all = append(f.all, TestFailure{Pos: f.firstFailed.Pos, Text: fmt.Sprintf("and from here on %d more expectations do not hold", more)})
	}
	if more := f.unjudged - maxFailures; more > 0 {
		f.all = append(f.all, TestFailure{Pos: f.firstOpen.Pos, Text: fmt.Sprintf("and from here on %d more have no device to test with", more), NoDevice: true})
	}
	return f.all
}
