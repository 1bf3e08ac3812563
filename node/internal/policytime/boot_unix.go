//go:build unix

package policytime

import (
	"time"

	"golang.org/x/sys/unix"
)

// SinceBoot is the time since the machine started, suspend included.
func SinceBoot() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(bootClock, &ts); err != nil {
		panic("policytime: no boot clock: " + err.Error()) // any supported kernel has it
	}
	return time.Duration(ts.Nano())
}
