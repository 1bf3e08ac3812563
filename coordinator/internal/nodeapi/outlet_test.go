package nodeapi_test

import (
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cordonmesh/cordon/coordinator/internal/nodeapi"
	"github.com/cordonmesh/cordon/coordinator/wire"
)

// socket is a way to a node that may stand still.
type socket struct {
	http.ResponseWriter
	flushes  int
	deadline time.Time
	full     bool          // takes nothing more
	past     chan struct{} // closed at a deadline that is over
}

func (s *socket) FlushError() error { s.flushes++; return nil }

func (s *socket) SetWriteDeadline(at time.Time) error {
	if s.deadline = at; !at.After(time.Now()) {
		close(s.past)
	}
	return nil
}

// send is what becomes of one message.
func (s *socket) send(w http.ResponseWriter, _ *wire.FollowResponse) error {
	if s.full {
		<-s.past
		return errors.New("cut off")
	}
	w.(http.Flusher).Flush()
	return nil
}

// The messages of one moment are flushed as one: for a Delta with its hints that
// is half the coordinator's work.
func TestOneFlushAMoment(t *testing.T) {
	s := &socket{past: make(chan struct{})}
	carry, _ := nodeapi.Outlet(s)
	for moment := 1; moment <= 3; moment++ {
		if err := carry(make([]*wire.FollowResponse, moment), s.send); err != nil {
			t.Fatal(err)
		}
		if s.flushes != moment {
			t.Errorf("%d moments were flushed %d times", moment, s.flushes)
		}
	}
}

// A reader that stands still is cut off in time; one that takes its time between
// moments is not, and a stream that ended is left alone.
func TestSlowReaderIsCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &socket{past: make(chan struct{})}
		carry, end := nodeapi.Outlet(s)
		one := make([]*wire.FollowResponse, 1)
		for range 3 {
			if err := carry(one, s.send); err != nil {
				t.Fatal(err)
			}
			time.Sleep(2 * nodeapi.SlowAfter)
		}
		if !s.deadline.IsZero() {
			t.Errorf("a silent stream has the deadline %v", s.deadline)
		}
		s.full = true
		begun := time.Now()
		if err := carry(one, s.send); err == nil {
			t.Error("a reader that takes nothing was served")
		}
		if took := time.Since(begun); took != nodeapi.SlowAfter {
			t.Errorf("a reader that takes nothing was cut off after %v", took)
		}
		end()
		if left := time.Until(s.deadline); left != nodeapi.SlowAfter {
			t.Errorf("the last word has %v", left)
		}
		time.Sleep(2 * nodeapi.SlowAfter) // a second deadline in the past would panic
	})
}
