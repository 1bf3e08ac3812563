package wire

import "time"

// ActivePeriod gives how often a node tells that its people do something, where that
// counts as idle which lasts for so long: four times in it, so that what is lost or
// comes late ends nobody's right; and not so often that it costs much.
func ActivePeriod(idle time.Duration) time.Duration {
	return min(max(idle/4, time.Second), time.Hour).Truncate(time.Millisecond)
}
