package filter

import (
	"time"

	"github.com/cordonmesh/cordon/acl/packet"
)

// activeGrain is how exactly it is known when this machine was active, so that a
// download is not looked at packet by packet.
const activeGrain = int64(100 * time.Millisecond)

// nothing is how many bytes a TCP segment may carry that says nothing: some systems
// probe a silent connection with one.
const nothing = 1

// Active gives when, in time since boot, this machine or one behind it last sent
// something in a flow that it had opened, by TCP or UDP. Answers to others, pings, and
// segments that only acknowledge or keep a connection alive are nothing. It is false if
// that never was.
func (f *Filter) Active() (boot time.Duration, ever bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return time.Duration(f.active), f.active != never
}

// stir notes that an outbound packet passed in a flow that begins in origin.
func (f *Filter) stir(origin Direction, p *packet.Packet) {
	if origin == Out && p.Payload() > nothing {
		f.active, f.stirs = f.now.Boot, f.now.Boot+activeGrain
	}
}
