package userspace

import (
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.zx2c4.com/wireguard/conn"
	"golang.zx2c4.com/wireguard/device"
)

const (
	// receptionSize is how many initiations may wait to be read, and to be handed
	// on.
	receptionSize = 64
	// readPerSecond bounds what reading initiations costs, at 0.1 ms each: whoever
	// recorded some may send them again for ever. Those beyond go to wireguard-go
	// unread, which has means of its own against a flood.
	readPerSecond = 500
	// strangersKept is how many initiations of nobody in the map are kept, and
	// strangerFor how long: a newcomer may be answered by our transport, and begin,
	// before its record has got here. Later it would have begun anew (5 s).
	strangersKept = 16
	strangerFor   = 4 * time.Second
)

// reception takes the handshake initiations out of what comes in, so that their
// sender can be made a peer before wireguard-go sees them, and hands them on by a
// receive function of its own.
type reception struct {
	opener atomic.Pointer[opener] // nil: nothing is taken out
	came   chan initiation        // for the keeper
	onward chan initiation        // for wireguard-go
	news   chan struct{}          // for the keeper: the map is another

	strangers []initiation // the keeper's own; the oldest first

	mu     sync.Mutex
	closed chan struct{} // ends the receive function; nil: there is none
	second int64
	read   int // in that second
}

type initiation struct {
	from conn.Endpoint
	at   time.Time
	data [device.MessageInitiationSize]byte
}

func newReception() *reception {
	return &reception{
		came: make(chan initiation, receptionSize), onward: make(chan initiation, receptionSize), news: make(chan struct{}, 1),
	}
}

// take takes an initiation, if it is made for us and there is room. Who knows
// nothing of this node cannot make one.
func (r *reception) take(b []byte, from conn.Endpoint) bool {
	o := r.opener.Load()
	if o == nil || !isInitiation(b) || !o.checker.CheckMAC1(b) || !r.may() {
		return false
	}
	i := initiation{from: from, at: time.Now()}
	copy(i.data[:], b)
	select {
	case r.came <- i:
		return true
	default:
		return false
	}
}

func (r *reception) may() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now := time.Now().Unix(); now != r.second {
		r.second, r.read = now, 0
	}
	r.read++
	return r.read <= readPerSecond
}

// tell has the keeper look at the strangers again.
func (r *reception) tell() {
	select {
	case r.news <- struct{}{}:
	default:
	}
}

// keep keeps an initiation of nobody in the map.
func (r *reception) keep(i initiation) {
	if len(r.strangers) == strangersKept {
		r.strangers = slices.Delete(r.strangers, 0, 1)
	}
	r.strangers = append(r.strangers, i)
}

// again gives those that are worth another look, and keeps none.
func (r *reception) again() []initiation {
	list := slices.DeleteFunc(r.strangers, func(i initiation) bool { return time.Since(i.at) > strangerFor })
	r.strangers = nil
	return list
}

// pass hands an initiation to wireguard-go.
func (r *reception) pass(i initiation) {
	select {
	case r.onward <- i:
	default: // as a full socket would
	}
}

// open gives the function that receives what was passed, until close.
func (r *reception) open() conn.ReceiveFunc {
	r.mu.Lock()
	defer r.mu.Unlock()
	closed := make(chan struct{})
	r.closed = closed
	return func(bufs [][]byte, sizes []int, from []conn.Endpoint) (int, error) {
		select {
		case <-closed:
			return 0, net.ErrClosed
		case i := <-r.onward:
			sizes[0], from[0] = copy(bufs[0], i.data[:]), i.from
			return 1, nil
		}
	}
}

func (r *reception) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed != nil {
		close(r.closed)
		r.closed = nil
	}
}
