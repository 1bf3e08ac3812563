//go:build unix && !linux

package policytime

import "golang.org/x/sys/unix"

// On Darwin CLOCK_MONOTONIC runs through sleep (CLOCK_UPTIME_RAW does not).
const bootClock = unix.CLOCK_MONOTONIC
