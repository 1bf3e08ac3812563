//go:build !linux

package transport

import "net"

// letFragment does nothing: these systems fragment unless they are told not to.
func letFragment(*net.UDPConn) error { return nil }

// keepWhole does nothing: the path's MTU is found as far as the link's own.
func keepWhole(*net.UDPConn) error { return nil }
