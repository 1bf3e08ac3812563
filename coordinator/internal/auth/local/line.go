package local

import "sync"

// Who may wait for the hasher at a time.
const (
	maxLine  = 40 // in all
	kept     = 16 // places of these, for people who are known where they are
	maxSeats = 2  // of one node, of either kind

	maxStrangers = 4 // at no machine of the mesh
)

// line is who waits for the hasher, or has it. A few machines that send proofs without
// end make it long for each other, and leave room for people at machines that know them.
type line struct {
	mu  sync.Mutex
	all int
	of  map[seat]int

	strangers int
}

// seat is what a place in the line is taken for.
type seat struct {
	node     string
	known    bool
	stranger bool // at no machine of the mesh, and not known
}

// enter takes a place, which leave gives back. It fails with ErrBusy if there is none. Who
// has no place is not charged for a proof, and is not judged.
func (l *line) enter(s seat) (leave func(), err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	most := maxLine
	if !s.known {
		most -= kept
	}
	if l.all >= most || l.of[s] >= maxSeats || s.stranger && l.strangers >= maxStrangers {
		return nil, ErrBusy
	}
	if s.stranger {
		l.strangers++
	}
	l.all++
	l.of[s]++
	return func() { l.leave(s) }, nil
}

func (l *line) leave(s seat) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s.stranger {
		l.strangers--
	}
	l.all--
	if l.of[s]--; l.of[s] == 0 {
		delete(l.of, s)
	}
}
