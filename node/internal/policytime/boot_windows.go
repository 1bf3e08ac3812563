package policytime

import (
	"time"

	"golang.org/x/sys/windows"
)

// SinceBoot is the time since the machine started, suspend included.
func SinceBoot() time.Duration { return windows.DurationSinceBoot() }
