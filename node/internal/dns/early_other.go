//go:build !linux

package dns

import "syscall"

// early does nothing: there is no interface of ours here that could come later.
func early(string, string, syscall.RawConn) error { return nil }
