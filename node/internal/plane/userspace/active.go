package userspace

import "time"

// Active tells how long ago this machine last sent something in a flow that it had
// opened, time asleep included, and the longest time that it did not before; false if
// it never sent anything. Told forgets that longest time.
func (p *Plane) Active() (ago, pause time.Duration, told func(), ever bool) {
	at, pause, ever := p.filter.Active()
	return max(0, time.Duration(p.now().Boot)-at), pause, func() { p.filter.Resume(at) }, ever
}
