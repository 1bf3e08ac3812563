package netstack

import (
	"fmt"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
)

// tuneTCP sets what a hospital's bulk transfers need. Buffers begin small, so
// that a thousand idle connections cost little, and grow to what a wide path
// can hold: 4 MiB is 300 Mbit/s at 100 ms.
func tuneTCP(ip *stack.Stack) error {
	sack := tcpip.TCPSACKEnabled(true)
	moderate := tcpip.TCPModerateReceiveBufferOption(true)
	// Two stacks back to back (BenchmarkBulk) carry as much with recovery by
	// SACK alone as with RACK, which is the younger code of the two, and a
	// third more with Reno than with the stack's CUBIC.
	recovery := tcpip.TCPRecovery(0)
	congestion := tcpip.CongestionControlOption("reno")
	receive := tcpip.TCPReceiveBufferSizeRangeOption{Min: 4 << 10, Default: 256 << 10, Max: 4 << 20}
	send := tcpip.TCPSendBufferSizeRangeOption{Min: 4 << 10, Default: 256 << 10, Max: 4 << 20}
	for _, o := range []tcpip.SettableTransportProtocolOption{&sack, &moderate, &recovery, &congestion, &receive, &send} {
		if err := ip.SetTransportProtocolOption(tcp.ProtocolNumber, o); err != nil {
			return fmt.Errorf("netstack: set %T: %s", o, err)
		}
	}
	return nil
}
