package control

import (
	"context"
	"errors"

	"connectrpc.com/connect"
)

const signedOutFile = "signedout.json"

// ErrAway is returned when the coordinator cannot be asked just now.
var ErrAway = errors.New("the coordinator is away")

// SignedOut is a session that ended at this machine, on its own word.
type SignedOut struct {
	Session string
	Told    func() // is called when the coordinator knows
}

// SignedOut gives the sessions that ended here and that a map may still hold. What
// cannot be read is an error: whoever takes it for none lets people in who have left.
func (d *Dir) SignedOut() (sessions []string, err error) {
	_, err = d.readJSON(signedOutFile, &sessions)
	return sessions, err
}

// SaveSignedOut notes the sessions that ended here: all of them each time.
func (d *Dir) SaveSignedOut(sessions []string) error {
	return d.writeJSON(signedOutFile, append([]string{}, sessions...))
}

// SignedOutChanged makes the follower tell of sessions that ended here.
func (f *Follower) SignedOutChanged() { f.courier.nudge() }

// TellSignedOut tells the coordinator at once that a session ended here.
func (f *Follower) TellSignedOut(ctx context.Context, session string) error {
	c, err := f.open()
	if err != nil {
		return err
	}
	defer c.close()
	return plain(c.signOut(ctx, session))
}

// signOut has a session end. One that the coordinator does not know is none any more.
func (c *channel) signOut(ctx context.Context, session string) error {
	_, err := c.end(ctx, session)
	if connect.CodeOf(err) == connect.CodeNotFound {
		return nil
	}
	return err
}

// tellSignedOut tells of the sessions that ended here, and whether all was delivered.
func (c *courier) tellSignedOut(ctx context.Context, ch *channel) bool {
	if c.o.SignedOut == nil {
		return true
	}
	delivered := true
	for _, s := range c.o.SignedOut() {
		if err := ch.signOut(ctx, s.Session); err != nil {
			c.complain(ctx, "telling the coordinator who signed out here failed", err)
			delivered = false
			continue
		}
		s.Told()
	}
	return delivered
}
