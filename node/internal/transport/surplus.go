package transport

import "golang.zx2c4.com/wireguard/conn"

const (
	// batch is how many datagrams wireguard-go takes from the sockets at a time. It
	// keeps so many buffers of 64 KiB for its TUN and for each receive function, and
	// conn.StdNetBind would have it keep twice as many. Two datagrams of the kernel's
	// coalescing fill it as a rule, so a larger one carries no more.
	batch = 64
	// coalesced is how many datagrams at most the kernel makes one of
	// (UDP_GRO_CNT_MAX of Linux).
	coalesced = 64
	// largest is what one read of a socket may give, in bytes.
	largest = 1<<16 - 1
)

// surplus lets a caller with a batch of buffers call a receive function of a
// conn.StdNetBind, which insists on conn.IdealBatchSize of them: it reads what the
// kernel coalesced into the last two, and splits that into the first. What the
// caller has no buffers for waits for the next call.
//
// One goroutine calls it, as any receive function.
type surplus struct {
	receive conn.ReceiveFunc
	bufs    [conn.IdealBatchSize][]byte // first the caller's, then its own
	sizes   [conn.IdealBatchSize]int
	from    [conn.IdealBatchSize]conn.Endpoint

	next, end int // what waits
}

// withSurplus wraps a receive function; splits: it reads coalesced datagrams.
func withSurplus(receive conn.ReceiveFunc, splits bool) conn.ReceiveFunc {
	s := &surplus{receive: receive}
	for i := batch; i < len(s.bufs); i++ {
		s.bufs[i] = make([]byte, roomAt(i, splits))
	}
	return s.call
}

// roomAt is how large the datagram in that place can be. Where the kernel
// coalesces, the first comes from a read of its own, or is that which follows as
// many as the first read can hold; and so many of one size are in its read too.
func roomAt(place int, splits bool) int {
	if !splits || place >= conn.IdealBatchSize-2 {
		return largest
	}
	return largest / max(1, place-coalesced)
}

func (s *surplus) call(bufs [][]byte, sizes []int, from []conn.Endpoint) (int, error) {
	if s.next == s.end {
		return s.read(bufs, sizes, from)
	}
	n := min(len(bufs), s.end-s.next)
	for i := range n {
		sizes[i] = copy(bufs[i], s.bufs[s.next+i][:s.sizes[s.next+i]])
	}
	copy(from, s.from[s.next:s.next+n])
	s.next += n
	return n, nil
}

// read gives what fits, and keeps the rest.
func (s *surplus) read(bufs [][]byte, sizes []int, from []conn.Endpoint) (int, error) {
	lent := copy(s.bufs[:batch], bufs)
	clear(s.bufs[lent:batch]) // those of an earlier call are the caller's own again
	n, err := s.receive(s.bufs[:], s.sizes[:], s.from[:])
	given := min(n, lent)
	copy(sizes, s.sizes[:given])
	copy(from, s.from[:given])
	s.next, s.end = given, n
	return given, err
}
