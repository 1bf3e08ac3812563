package nodeapi

import (
	"net/http"
	"sync"
	"time"

	"github.com/cordonmesh/cordon/coordinator/wire"
)

// outlet is the way to a node. The messages of one moment leave in one piece:
// each flush is a frame, a TLS record and a system call, and for small messages
// that is nearly all that they cost.
type outlet struct {
	http.ResponseWriter
	control *http.ResponseController
	hold    bool // more of the same moment follows

	// A timer of our own, since each new deadline would wake the connection's
	// goroutine, once a message.
	slow   *time.Timer
	mu     sync.Mutex
	closed bool // the handler returns: the writer is no longer ours
}

func newOutlet(w http.ResponseWriter) *outlet {
	return &outlet{ResponseWriter: w, control: http.NewResponseController(w)}
}

// Unwrap is for http.ResponseController.
func (o *outlet) Unwrap() http.ResponseWriter { return o.ResponseWriter }

// Flush is called after every message, and heeds the last one's alone.
func (o *outlet) Flush() {
	if !o.hold {
		_ = o.control.Flush() // the next write says what became of the connection
	}
}

// carry sends the messages of one moment. A reader that does not take them in
// time is cut off.
func (o *outlet) carry(batch []*wire.FollowResponse, send func(*wire.FollowResponse) error) error {
	if o.slow == nil {
		o.slow = time.AfterFunc(SlowAfter, o.cut)
	} else {
		o.slow.Reset(SlowAfter)
	}
	defer o.slow.Stop()
	for i, m := range batch {
		o.hold = i < len(batch)-1
		if err := send(m); err != nil {
			return err
		}
	}
	return nil
}

// cut ends a write that takes too long.
func (o *outlet) cut() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.closed {
		_ = o.control.SetWriteDeadline(time.Unix(1, 0)) // fails only if there is no write to end
	}
}

// close must be called before the handler of a stream returns. The word why the
// stream ended has its deadline too.
func (o *outlet) close() {
	o.hold = false
	_ = o.control.SetWriteDeadline(time.Now().Add(SlowAfter)) // a socket without deadlines got none at the door
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
}
