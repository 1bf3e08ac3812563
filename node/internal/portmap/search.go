package portmap

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	// probeFor is how long to wait for a gateway that may speak nothing.
	probeFor = 3 * time.Second
	// grace is how long a better protocol is waited for once one has answered.
	grace = 200 * time.Millisecond
)

// find asks all doors at once which of them exist, and enters the most preferred
// one that opens.
func (k *keeper) find(ctx context.Context) error {
	probing, cancel := context.WithTimeout(ctx, probeFor)
	var probes sync.WaitGroup
	defer probes.Wait()
	defer cancel()
	heard := make(chan answer, len(k.doors))
	for i, d := range k.doors {
		probes.Go(func() { heard <- answer{i, d.probe(probing)} })
	}
	s := search{why: make([]error, len(k.doors)), stage: make([]stage, len(k.doors))}
	var late <-chan time.Time
	for s.more() {
		if s.waits() {
			select {
			case a := <-heard:
				s.take(a)
			case <-late:
				s.late = true
			}
			for len(heard) > 0 { // while a door was tried, a better one may have answered
				s.take(<-heard)
			}
			if late == nil && s.first() >= 0 {
				late = time.After(grace)
			}
			continue
		}
		i := s.best()
		if s.why[i] = k.enter(ctx, k.doors[i]); s.why[i] == nil {
			return nil
		}
	}
	return k.explain(s.why)
}

// explain puts into words why no door opened.
func (k *keeper) explain(why []error) error {
	var said []string
	for i, d := range k.doors {
		said = append(said, fmt.Sprintf("%v: %v", d.protocol(), why[i]))
	}
	return fmt.Errorf("the gateway %v maps no port (%s)", k.network.Gateway, strings.Join(said, "; "))
}

// answer is what one door's probe said.
type answer struct {
	door int
	err  error
}

// search is how far find has come.
type search struct {
	why   []error // of each door: why it does not open
	stage []stage // of each door
	late  bool    // nobody is waited for if a door is ready
}

// stage is how far one door has come.
type stage uint8

const (
	asked stage = iota // may still answer
	ready              // exists, and was not entered yet
	done               // does not exist, or was entered
)

func (s *search) take(a answer) {
	s.why[a.door], s.stage[a.door] = a.err, ready
	if a.err != nil {
		s.stage[a.door] = done
	}
}

// more tells whether a door is left.
func (s *search) more() bool { return slices.Contains(s.stage, asked) || s.first() >= 0 }

// waits tells whether to wait for more answers: no door is ready, or one that is
// better than those may still be.
func (s *search) waits() bool {
	first := s.first()
	return first < 0 || !s.late && slices.Contains(s.stage[:first], asked)
}

// first is the most preferred door that is ready; -1: none.
func (s *search) first() int { return slices.Index(s.stage, ready) }

// best takes it. Call it only if there is one.
func (s *search) best() int {
	i := s.first()
	s.stage[i] = done
	return i
}
