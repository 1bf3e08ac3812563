package userspace

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"golang.zx2c4.com/wireguard/device"
)

// linesPerMinute of wireguard-go's errors reach the log: a path that is away
// makes one for every batch.
const linesPerMinute = 10

// logger leads wireguard-go's log into ours. It names peers by eight characters
// of their public key, and prints no secret; text that failed to parse, which
// might be one, is cut away by redact before it becomes an error of ours, and
// never logged here, because all text that it parses is written by this package.
func logger(log *slog.Logger) *device.Logger {
	var minute, lines atomic.Int64
	return &device.Logger{
		Verbosef: func(format string, args ...any) {
			if log.Enabled(context.Background(), slog.LevelDebug) {
				log.Debug(fmt.Sprintf(format, args...), "part", "wireguard")
			}
		},
		Errorf: func(format string, args ...any) {
			if now := time.Now().Unix() / 60; minute.Swap(now) != now {
				lines.Store(0)
			}
			if lines.Add(1) <= linesPerMinute {
				log.Warn(fmt.Sprintf(format, args...), "part", "wireguard")
			}
		},
	}
}

// redact keeps the class of a failure of wireguard-go's configuration and drops
// its text, which may repeat the line that it could not read.
func redact(err error) error {
	var failed *device.IPCError
	if errors.As(err, &failed) {
		return fmt.Errorf("wireguard-go refused its configuration with code %d", failed.ErrorCode())
	}
	return errors.New("wireguard-go refused its configuration")
}
