package userspace

import "time"

// Active tells how long ago who has the seat of a session ("": this whole machine)
// last sent something in a flow that they had opened, time asleep included, and the
// longest time that they did not before; false if they never sent anything. Told
// forgets that longest time.
func (p *Plane) Active(session string) (ago, pause time.Duration, told func(), ever bool) {
	at, pause, ever := p.filter.Active(session)
	return max(0, time.Duration(p.now().Boot)-at), pause, func() { p.filter.Resume(session, at) }, ever
}
