package relay

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/cordonmesh/cordon/node/relay/internal/fair"
)

// errSilent: the relay does not answer pings. Its machine, or the way to it, is
// gone without a word.
var errSilent = errors.New("the relay does not answer")

// write sends what is queued, and asks the relay whether it is alive, until
// ended is closed (then its error is nil) or something fails.
func (l *link) write(ended <-chan struct{}) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	out := l.client.pool.Get(fair.Largest)
	defer l.client.pool.Put(out)
	for {
		n, next, err := l.batch(out.Bytes)
		if err != nil {
			return err
		}
		if n > 0 {
			if err := l.put(out.Bytes[:n]); err != nil {
				return unlessEnded(ended, err)
			}
			continue
		}
		timer.Reset(time.Until(next))
		select {
		case <-ended:
			return nil
		case <-l.wake:
		case <-timer.C:
		}
	}
}

// unlessEnded drops an error that came of closing.
func unlessEnded(ended <-chan struct{}, err error) error {
	select {
	case <-ended:
		return nil
	default:
		return fmt.Errorf("writing to the relay: %w", err)
	}
}

func (l *link) put(b []byte) error {
	if err := l.conn.SetWriteDeadline(time.Now().Add(writeWithin)); err != nil {
		return err
	}
	_, err := l.conn.Write(b)
	return err
}

// batch fills out, and says until when nothing else is due.
func (l *link) batch(out []byte) (n int, next time.Time, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	do := l.alive.judge(time.Now())
	if do.dead {
		return 0, next, errSilent
	}
	if do.ping {
		l.pings++
		l.control = Append(l.control, TypePing, binary.BigEndian.AppendUint64(nil, l.pings))
	}
	n = copy(out, l.control)
	l.control = l.control[:0]
	return l.queue.Fill(out, n), do.next, nil
}
