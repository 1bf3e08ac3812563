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
// that never was. Pause is the longest time between two such packets since Resume: who
// was away for so long may have been replaced by somebody else.
func (f *Filter) Active() (boot, pause time.Duration, ever bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return time.Duration(f.active), time.Duration(f.pause), f.active != never
}

// Resume forgets the pauses that had ended by an activity, in time since boot.
func (f *Filter) Resume(boot time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.resumed <= int64(boot) {
		f.pause = 0
	}
}

// stir notes that an outbound packet passed in a flow that begins in origin.
func (f *Filter) stir(origin Direction, p *packet.Packet) {
	if origin == Out && p.Payload() > nothing {
		pause := int64(forever) // of a time before this filter nothing is known
		if f.active != never {
			pause = f.now.Boot - f.active
		}
		if pause > f.pause {
			f.pause, f.resumed = pause, f.now.Boot
		}
		f.active, f.stirs = f.now.Boot, f.now.Boot+activeGrain
	}
}
