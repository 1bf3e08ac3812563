package registry

import (
	"fmt"
	"time"
)

// MaxDeviceLife bounds how long a person's machine stays without a proof of theirs.
const MaxDeviceLife = 10 * 365 * 24 * time.Hour

// maxKept bounds how many machines one command gives an end, or takes out at theirs.
const maxKept = 500

// Over tells whether the end of a machine's time has come.
func (n *Node) Over(now time.Time) bool {
	return n.Expired || !n.Expires.IsZero() && !now.Before(n.Expires)
}

// kept gives what becomes of a machine by time alone; nil: nothing.
func (n *Node) kept(life time.Duration, now time.Time) *Node {
	if n.Owner() == "" || n.Expired {
		return nil
	}
	next := n.copy()
	switch {
	case n.Over(now):
		next.Expired = true
	case n.Expires.IsZero() && life > 0:
		next.Expires = now.Add(life).Truncate(time.Second)
	default:
		return nil
	}
	return next
}

// Due tells whether KeepDevices would change something.
func (c KeepDevices) Due(s *State, now time.Time) bool {
	for n := range s.Nodes() {
		if n.kept(c.Life, now) != nil {
			return true
		}
	}
	return false
}

func (c KeepDevices) decide(d *decision) error {
	if err := checkLife(c.Life); err != nil {
		return err
	}
	left := maxKept
	for _, n := range d.state.SortedNodes() {
		next := n.kept(c.Life, d.now)
		if next == nil {
			continue
		}
		if left--; left < 0 {
			return nil
		}
		action := "node.keep"
		if next.Expired {
			action = "node.expire"
		}
		d.change(n, next, action)
	}
	return nil
}

func checkLife(life time.Duration) error {
	if life < 0 || life > MaxDeviceLife {
		return invalid("life of a machine", life.String(), fmt.Sprintf("at most %v, or 0 for one without end", MaxDeviceLife))
	}
	return nil
}

// device finds a node that a command names, which must be a person's.
func (d *decision) device(idOrName string) (*Node, error) {
	n, err := d.node(idOrName)
	if err == nil && n.Owner() == "" {
		return nil, fmt.Errorf("%s: %w: machines with tags do not expire; to take one away, remove it", n.Name, ErrInvalid)
	}
	return n, err
}

func (c ExpireNode) decide(d *decision) error {
	n, err := d.device(c.Node)
	if err != nil {
		return err
	}
	if n.Expired {
		d.result.Node = n
		return nil
	}
	next := n.copy()
	next.Expires, next.Expired = d.now.Truncate(time.Second), true
	d.change(n, next, "node.expire")
	d.endAt(n, "its time at this machine was ended")
	return nil
}

// endAt ends every session at a node.
func (d *decision) endAt(n *Node, why string) {
	var ids []string
	for _, s := range d.state.SessionsAt(n.ID) {
		ids = append(ids, s.ID)
	}
	d.end(n.ID, ids, why)
}

func (c RenewNode) decide(d *decision) error {
	n, err := d.device(c.Node)
	if err != nil {
		return err
	}
	if err := checkLife(c.Life); err != nil {
		return err
	}
	next := n.copy()
	next.Expires, next.Expired = time.Time{}, false
	if c.Life > 0 {
		next.Expires = d.now.Add(c.Life).Truncate(time.Second)
	}
	d.vouch(n, next)
	d.change(n, next, "node.renew")
	return nil
}

// prolong gives a person's machine another span of time from a proof on. One whose
// time is over is given none for a proof of before, or of nobody knows when: whoever
// has stolen it, and a browser that the provider remembers, would bring it back. Each
// change is told to every peer, so a day is not told of before a tenth of the span has
// passed.
func (d *decision) prolong(n *Node, who Identity, life time.Duration) error {
	if n.Owner() == "" {
		return nil
	}
	at := earlier(who.At.UTC(), d.now)
	over := n.Over(d.now)
	if over && who.Undated {
		return fmt.Errorf("%w: the time of %s was over at %s, and the provider does not say when the proof was made: prove anew who you are, with `cordon login --afresh` and without --device-code",
			ErrUser, n.Name, endText(n.Expires))
	}
	if over && at.Before(n.Expires) {
		return fmt.Errorf("%w: the time of %s was over at %s, and the proof is older: prove anew who you are, with `cordon login --afresh`",
			ErrUser, n.Name, endText(n.Expires))
	}
	next := n.copy()
	next.Expired = false
	end := at.Add(life).Truncate(time.Second)
	switch {
	case life <= 0 && over:
		next.Expires = time.Time{}
	case life > 0 && (over || n.Expires.IsZero() || end.Sub(n.Expires) >= min(life/10, 24*time.Hour)):
		next.Expires = end
	}
	d.change(n, next, "node.renew")
	return nil
}

func endText(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.UTC().Format(time.RFC3339)
}
