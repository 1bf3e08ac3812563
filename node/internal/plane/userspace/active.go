package userspace

import "time"

// Active tells how long ago this machine last sent something in a flow that it had
// opened, time asleep included; false if that never was.
func (p *Plane) Active() (ago time.Duration, ever bool) {
	at, ever := p.filter.Active()
	return max(0, time.Duration(p.now().Boot)-at), ever
}
