package diff

import "fmt"

// Whoever may write a policy may write two in which each of thousands differs to each of
// thousands in another way, by a few rules: told whole, that took minutes and gigabytes of
// whoever compares them. So comparing has a bound. It is counted in steps and not in
// seconds: what one coordinator tells, a busy one tells too.
const (
	maxSteps = 200_000_000 // about a second

	wordsSteps   = 400   // what it costs to compare one definition
	timeSteps    = 40    // what it costs to look at one opening of a schedule in a year
	wordSteps    = 8     // what it costs to keep a word of a set
	blockSteps   = 128   // what it costs to turn a block
	shareSteps   = 500   // what it costs to keep a share
	coverSteps   = 100   // what it costs to compare two conditions
	compareSteps = 300   // what it costs to compare what is open to one, once
	changeSteps  = 4_000 // what it costs to tell of one change
	nameSteps    = 30    // what it costs to name one of those whom it is about
)

// work is what comparing has cost. Once it is too much, it is to end.
type work struct{ steps, most int }

func (w *work) spend(steps int) { w.steps += steps }

func (w *work) over() bool { return w.steps > w.most }

// untold stands for all changes between nodes where it would take too much to tell them.
func (w *work) untold() Change {
	everything := Set{Text: "all nodes"}
	return Change{Who: everything, Where: everything, Services: []string{}, Text: fmt.Sprintf(
		"between nodes too much changes in too many ways to be told (more than %d million steps of work): nobody is told here who gains or loses reach; make the edit in steps, or use groups and tags, and compare each", w.most/1_000_000)}
}
