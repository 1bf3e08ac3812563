package node

import "time"

// active tells how long ago somebody last did something at this machine, as far as
// its traffic tells; false if nobody did since it carries any.
func (m *mesh) active() (ago time.Duration, ever bool) {
	p := m.plane.now.Load()
	if p == nil {
		return 0, false
	}
	return p.Active()
}
