package distribute

import "sync"

// landed is the streams whose socket took its batch since the hub last looked. A
// stream that handed itself over would have to be met by the hub, each by itself:
// of a message to a thousand nodes that is a good part of what it costs.
type landed struct {
	bell chan struct{} // for the hub; has a token if there are some

	mu   sync.Mutex
	list []*stream
	used []*stream // the list before, for its memory
}

func newLanded() *landed { return &landed{bell: make(chan struct{}, 1)} }

func (l *landed) add(s *stream) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.list = append(l.list, s); len(l.list) == 1 {
		l.bell <- struct{}{} // has room: who took the list before took its token first
	}
}

// take gives the streams, valid until the next take. The token is the caller's already.
func (l *landed) take() []*stream {
	l.mu.Lock()
	defer l.mu.Unlock()
	clear(l.used)
	l.list, l.used = l.used[:0], l.list
	return l.used
}
