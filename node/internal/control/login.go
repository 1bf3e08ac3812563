package control

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"net/url"
	"strings"
	"time"
	"unicode"

	"connectrpc.com/connect"

	"github.com/cordonmesh/cordon/coordinator/wire"
)

const (
	// answerWithin is how long one AwaitLogin may take: the coordinator promises an
	// answer after some 20 s, and one that takes twice that is gone.
	answerWithin = 45 * time.Second

	// askApart keeps a coordinator that answers "not yet" at once from being asked
	// without a pause.
	askApart = time.Second

	maxAsking = 5 * time.Second // between questions that fail: a person is waiting

	maxLoginURL  = 2048 // bytes; browsers take more, and no provider needs it
	maxLoginWord = 256  // bytes of an id or a code
)

// Login is a sign-in that the coordinator has opened for a person at this node.
type Login struct {
	ID    string    // names it in AwaitLogin
	URL   string    // where a browser must go
	Code  string    // that the page shows, to compare, or asks for; may be empty
	Until time.Time // it will have ended before, by the coordinator's time
}

// Outcome is how a sign-in ended. State is never PENDING.
type Outcome struct {
	State   wire.AwaitLoginResponse_State
	Reason  string       // of a refusal
	Below   bool         // refused because the proof is not of the level that was asked for
	Session wire.Session // if DONE
}

// BeginLogin opens a sign-in at this node, for an account of it (seat) or, if that is
// empty, for the whole machine. deviceCode asks for the provider's device grant (RFC
// 8628), afresh that the person proves anew who they are, and acr for a proof of that
// level; empty: any.
func (f *Follower) BeginLogin(ctx context.Context, seat string, deviceCode, afresh bool, acr string) (Login, error) {
	c, err := f.open()
	if err != nil {
		return Login{}, err
	}
	defer c.close()
	resp, err := c.BeginLogin(ctx, connect.NewRequest(&wire.BeginLoginRequest{DeviceCode: deviceCode, Afresh: afresh, Acr: acr, Seat: seat}))
	if err != nil {
		return Login{}, plain(err)
	}
	return loginFrom(resp.Msg)
}

// loginFrom takes an answer that people will read, copy and open.
func loginFrom(m *wire.BeginLoginResponse) (Login, error) {
	l := Login{ID: m.Login, URL: m.Url, Code: m.Code, Until: time.Unix(m.Until, 0).UTC()}
	u, err := url.Parse(l.URL)
	switch {
	case l.ID == "" || !printable(l.ID, maxLoginWord) || !printable(l.Code, maxLoginWord):
		return Login{}, errors.New("the coordinator's sign-in has no usable id or code")
	case err != nil || !printable(l.URL, maxLoginURL) || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil:
		return Login{}, errors.New("the coordinator's sign-in has no address that a browser could open")
	}
	return l, nil
}

func printable(text string, most int) bool {
	return len(text) <= most && strings.IndexFunc(text, func(r rune) bool { return !unicode.IsGraphic(r) || r == unicode.ReplacementChar }) < 0
}

// AwaitLogin returns when a sign-in of this node has ended. A coordinator that
// cannot be reached is asked again until ctx is done: the person is in a browser
// meanwhile, and the answer is not lost with a connection.
func (f *Follower) AwaitLogin(ctx context.Context, id string) (Outcome, error) {
	m, err := awaitEnd(ctx, f.o.Log, func(ctx context.Context) (*wire.AwaitLoginResponse, error) {
		c, err := f.open()
		if err != nil {
			return nil, err
		}
		defer c.close()
		return untilEnded(ctx, func(ctx context.Context) (*wire.AwaitLoginResponse, error) {
			resp, err := c.AwaitLogin(ctx, connect.NewRequest(&wire.AwaitLoginRequest{Login: id}))
			if err != nil {
				return nil, err
			}
			return resp.Msg, nil
		})
	})
	if err != nil {
		return Outcome{}, err
	}
	return outcomeFrom(m)
}

// awaitEnd asks how a sign-in ended until the coordinator has said it.
func awaitEnd[M any](ctx context.Context, log *slog.Logger, ask func(context.Context) (M, error)) (none M, err error) {
	for wait := minBackoff; ; wait = min(2*wait, maxAsking) {
		m, err := ask(ctx)
		switch {
		case err == nil:
			return m, nil
		case ctx.Err() != nil:
			return none, context.Cause(ctx)
		case isFinal(err):
			return none, plain(err)
		}
		log.Info("asking how a sign-in ended failed; asking again", "error", plain(err))
		select {
		case <-ctx.Done():
			return none, context.Cause(ctx)
		case <-time.After(wait/2 + mathrand.N(wait)):
		}
	}
}

// untilEnded asks on one connection for as long as the answer is "not yet", and
// gives the first that is something else.
func untilEnded[M interface {
	GetState() wire.AwaitLoginResponse_State
}](ctx context.Context, ask func(context.Context) (M, error)) (none M, err error) {
	for {
		pace := time.After(askApart)
		m, err := askOnce(ctx, ask)
		if err != nil {
			return none, err
		}
		if m.GetState() != wire.AwaitLoginResponse_PENDING {
			return m, nil
		}
		select {
		case <-ctx.Done():
			return none, context.Cause(ctx)
		case <-pace:
		}
	}
}

func askOnce[M any](ctx context.Context, ask func(context.Context) (M, error)) (M, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	return ask(ctx)
}

// isFinal tells answers of the coordinator that the same question would get again
// from those that a connection, or a moment, may be to blame for.
func isFinal(err error) bool {
	switch connect.CodeOf(err) {
	case connect.CodeInvalidArgument, connect.CodeNotFound, connect.CodePermissionDenied, connect.CodeUnauthenticated,
		connect.CodeFailedPrecondition, connect.CodeUnimplemented:
		return true
	}
	return false
}

func outcomeFrom(m *wire.AwaitLoginResponse) (o Outcome, err error) {
	o.State = m.State
	switch m.State {
	case wire.AwaitLoginResponse_DONE:
		o.Session, err = wire.ParseSession(m.Session)
	case wire.AwaitLoginResponse_REFUSED:
		o.Reason, o.Below = m.Reason, m.Below
	case wire.AwaitLoginResponse_EXPIRED:
	default:
		err = fmt.Errorf("the coordinator says of the sign-in %v, which this version does not know", m.State)
	}
	return o, err
}

// Logout ends sessions at this node, and tells how many: the one with that id, or
// (empty) all. It fails with [ErrAway] if the coordinator did not answer.
func (f *Follower) Logout(ctx context.Context, session string) (int, error) {
	c, err := f.open()
	if err != nil {
		return 0, err
	}
	defer c.close()
	n, err := c.end(ctx, session)
	switch {
	case err == nil:
		return n, nil
	case isFinal(err):
		return 0, plain(err)
	}
	return 0, fmt.Errorf("%w: %w", ErrAway, plain(err))
}

// end asks for the end of sessions, and gives how many ended.
func (c *channel) end(ctx context.Context, session string) (int, error) {
	resp, err := c.Logout(ctx, connect.NewRequest(&wire.LogoutRequest{Session: session}))
	if err != nil {
		return 0, err
	}
	return int(resp.Msg.Ended), nil
}
