package userspace

import (
	"slices"

	"golang.zx2c4.com/wireguard/conn"
	"golang.zx2c4.com/wireguard/device"
)

// countedBind is the bind that wireguard-go sees: the real one, with what comes
// counted into one flight and what leaves out of the other, and with initiations
// taken by way of the reception.
type countedBind struct {
	conn.Bind
	in, out   *flight
	reception *reception
}

// Open wraps the receive functions, each of which has a goroutine of its own.
func (b *countedBind) Open(port uint16) ([]conn.ReceiveFunc, uint16, error) {
	fns, actual, err := b.Bind.Open(port)
	if err != nil {
		return nil, 0, err
	}
	for i, receive := range fns {
		clock := stoppedClock()
		fns[i] = func(bufs [][]byte, sizes []int, eps []conn.Endpoint) (int, error) {
			b.in.await(clock, bufs)
			n, err := receive(bufs, sizes, eps)
			for i, size := range sizes[:n] {
				if isInitiation(bufs[i][:size]) && b.reception.take(bufs[i][:size], eps[i]) {
					sizes[i] = 0 // wireguard-go passes over it
				}
			}
			b.in.enter(received(bufs, sizes[:n]))
			return n, err
		}
	}
	return append(fns, b.reception.open()), actual, nil
}

// Close ends the receive functions.
func (b *countedBind) Close() error {
	b.reception.close()
	return b.Bind.Close()
}

// received counts the datagrams that hold a packet, and gives the last one's buffer.
func received(bufs [][]byte, sizes []int) (packets int, last []byte) {
	for i, size := range sizes {
		if isData(bufs[i][:size]) {
			packets, last = packets+1, bufs[i]
		}
	}
	return packets, last
}

// isData tells a datagram that holds a packet. Handshakes and keepalives never
// reach a TUN, nor come from one.
func isData(datagram []byte) bool {
	return len(datagram) > device.MessageKeepaliveSize && datagram[0] == device.MessageTransportType
}

// Send takes datagrams of one kind: data, or one that is none.
func (b *countedBind) Send(bufs [][]byte, ep conn.Endpoint) error {
	if !slices.ContainsFunc(bufs, isData) {
		return b.Bind.Send(bufs, ep)
	}
	b.out.come(bufs)
	err := b.Bind.Send(bufs, ep)
	b.out.leave(len(bufs))
	return err
}
