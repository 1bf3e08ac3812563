package transport

import (
	"sync"
	"time"

	"github.com/cordonmesh/cordon/node/internal/path"
)

// mailbox is what others tell Run. Telling never waits.
type mailbox struct {
	wake chan struct{} // has room for one

	mu    sync.Mutex
	tasks []func(now time.Time)
	wants []*endpoint
	heard []heard
}

func newMailbox() mailbox { return mailbox{wake: make(chan struct{}, 1)} }

// tell has Run do a task, after those told before.
func (m *mailbox) tell(task func(now time.Time)) {
	m.mu.Lock()
	m.tasks = append(m.tasks, task)
	m.mu.Unlock()
	m.nudge()
}

// want tells Run that there is traffic for a peer.
func (m *mailbox) want(v *endpoint) {
	m.mu.Lock()
	m.wants = append(m.wants, v)
	m.mu.Unlock()
	m.nudge()
}

// hear tells Run that packets come from a peer.
func (m *mailbox) hear(s *source, from path.Way) {
	m.mu.Lock()
	m.heard = append(m.heard, heard{s, from})
	m.mu.Unlock()
	m.nudge()
}

func (m *mailbox) nudge() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// empty takes out what is there.
func (m *mailbox) empty() (tasks []func(now time.Time), wants []*endpoint, heard []heard) {
	m.mu.Lock()
	defer m.mu.Unlock()
	tasks, wants, heard = m.tasks, m.wants, m.heard
	m.tasks, m.wants, m.heard = nil, nil, nil
	return tasks, wants, heard
}
