package coordinator

import (
	"net"
	"time"
)

// unheard is how long what was sent to a node may stay without an acknowledgement of
// its kernel (RFC 5482 section 2) before the connection is given up. Every stream is
// sent something every half minute, so that a node that is gone is found out soon,
// without a question that would cost thousands of wake-ups in every minute.
const unheard = time.Minute

// patient listens for connections that are given up after [unheard].
func patient() *net.ListenConfig {
	return &net.ListenConfig{Control: giveUp, KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 45 * time.Second, Interval: 15 * time.Second, Count: 3}}
}
