//go:build !linux

package backlog

import "net"

func bound(*net.TCPConn) {}
