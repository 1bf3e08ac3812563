package userspace

import (
	"errors"
	"os"
	"time"

	"golang.zx2c4.com/wireguard/tun"
)

// deadline is what a TUN offers whose pending Read can be made to return, as a
// file does: with a deadline in the past Read fails with os.ErrDeadlineExceeded,
// until the zero time is set. wireguard-go sends only what it reads, so this is
// the way to have it send an answer while this machine itself is silent.
type deadline interface {
	SetReadDeadline(time.Time) error
}

// deadlineOf gives nil for a TUN that has no deadlines.
func deadlineOf(dev tun.Device) deadline {
	d, ok := dev.(deadline)
	if f := dev.File(); !ok && f != nil {
		d, ok = f, true
	}
	if !ok || d.SetReadDeadline(time.Time{}) != nil {
		return nil
	}
	return d
}

// wake makes a pending Read return, or else the next one. A TUN that cannot any
// more is closed, which its reader notices.
func (g *guard) wake() {
	if g.alarm != nil {
		_ = g.alarm.SetReadDeadline(time.Unix(1, 0))
	}
}

// woken reports whether a read failed because of wake, and lets reads wait again.
// That comes before the answers are taken: one that is made meanwhile wakes anew.
func (g *guard) woken(err error) bool {
	return g.alarm != nil && errors.Is(err, os.ErrDeadlineExceeded) && g.alarm.SetReadDeadline(time.Time{}) == nil
}
