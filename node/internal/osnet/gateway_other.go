//go:build !linux

package osnet

import "net/netip"

// DefaultGateway knows none on this system.
func DefaultGateway() (gateway, local netip.Addr, err error) { return gateway, local, nil }
