package diff

import "fmt"

// maxMadeUp is how many machines are made up at most. A group of a file may have a
// hundred thousand members, of whom each has two: an admin would wait for minutes, for
// an answer that a mesh of machines gives at once.
const maxMadeUp = 25_000

// Crowded is the error of policies that name more than is made up.
type Crowded struct {
	Machines int // that it would take
}

func (e *Crowded) Error() string {
	return fmt.Sprintf("the policies name so much that it takes %d made-up machines (two for each tag and each person, one for each address), and at most %d are made up", e.Machines, maxMadeUp)
}
