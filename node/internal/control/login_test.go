package control_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/coordinator/wire/key"
	"github.com/cordonmesh/cordon/node/internal/control"
	"github.com/cordonmesh/cordon/node/internal/control/controltest"
)

func ended(state wire.AwaitLoginResponse_State) *wire.AwaitLoginResponse {
	return &wire.AwaitLoginResponse{State: state}
}

func session() wire.Session {
	at := time.Date(2026, 11, 23, 11, 59, 0, 0, time.UTC)
	return wire.Session{ID: "s1", User: "ada@clinic.example", At: at, Until: at.Add(8 * time.Hour), AMR: []string{"otp", "pwd"}}
}

// A sign-in is opened by the node that the channel proves, in the words that were
// asked for.
func TestBeginLogin(t *testing.T) {
	virtual(t, func(t *testing.T) {
		r := newRig(t).begin()
		if _, err := r.follower.BeginLogin(t.Context(), "", false, false, ""); err == nil || err.Error() != "nobody can sign in at this coordinator" {
			t.Fatal("a coordinator without sign-ins:", err)
		}
		until := time.Now().Add(10 * time.Minute).UTC()
		r.c.SignIn(controltest.SignIns{Begin: func(node key.NodePublic, q *wire.BeginLoginRequest) (*wire.BeginLoginResponse, error) {
			if node != r.keys.Node.Public() || !q.DeviceCode || !q.Afresh || q.Seat != "1000" || q.Acr != "loa2" {
				t.Errorf("%v asks %v", node, q)
			}
			return &wire.BeginLoginResponse{Login: "l1", Url: "https://c.example/login/l1", Code: "KITE-7", Until: until.Unix()}, nil
		}})
		l, err := r.follower.BeginLogin(t.Context(), "1000", true, true, "loa2")
		if want := (control.Login{ID: "l1", URL: "https://c.example/login/l1", Code: "KITE-7", Until: until}); err != nil || l != want {
			t.Fatalf("%+v, %v", l, err)
		}
	})
}

// What people will read, copy and open is not taken in any form.
func TestBeginLoginRefusesWhatNobodyCanOpen_A12(t *testing.T) {
	virtual(t, func(t *testing.T) {
		r := newRig(t).begin()
		for name, m := range map[string]*wire.BeginLoginResponse{
			"nothing":              {},
			"no id":                {Url: "https://c.example/x"},
			"no host":              {Login: "l1", Url: "https:///x"},
			"a script":             {Login: "l1", Url: "javascript:alert(1)"},
			"a file":               {Login: "l1", Url: "file://c.example/etc/passwd"},
			"another host in view": {Login: "l1", Url: "https://c.example@evil.example/x"},
			"a cursor in the URL":  {Login: "l1", Url: "https://c.example/\u009b2J"},
			"a line in the code":   {Login: "l1", Url: "https://c.example/x", Code: "A\nB"},
			"no UTF-8 for a code":  {Login: "l1", Url: "https://c.example/x", Code: "\ufffd"},
			"an endless URL":       {Login: "l1", Url: "https://c.example/" + strings.Repeat("x", 2048)},
			"an endless id":        {Login: strings.Repeat("x", 257), Url: "https://c.example/x"},
		} {
			r.c.SignIn(controltest.SignIns{Begin: func(key.NodePublic, *wire.BeginLoginRequest) (*wire.BeginLoginResponse, error) { return m, nil }})
			if l, err := r.follower.BeginLogin(t.Context(), "", false, false, ""); err == nil || !strings.HasPrefix(err.Error(), "the coordinator's sign-in has no ") {
				t.Errorf("%s: %+v, %v", name, l, err)
			}
		}
	})
}

// The outcome comes, however often the coordinator says "not yet" before.
func TestAwaitLogin(t *testing.T) {
	done := &wire.AwaitLoginResponse{State: wire.AwaitLoginResponse_DONE, Session: session().Proto()}
	refused := &wire.AwaitLoginResponse{State: wire.AwaitLoginResponse_REFUSED, Reason: "ada@clinic.example is disabled"}
	below := &wire.AwaitLoginResponse{State: wire.AwaitLoginResponse_REFUSED, Reason: "not of that level", Below: true}
	for name, last := range map[string]*wire.AwaitLoginResponse{
		"done": done, "refused": refused, "below": below, "expired": ended(wire.AwaitLoginResponse_EXPIRED),
	} {
		virtual(t, func(t *testing.T) {
			r := newRig(t).begin()
			asked := 0
			r.c.SignIn(controltest.SignIns{Await: func(_ context.Context, node key.NodePublic, login string) (*wire.AwaitLoginResponse, error) {
				if node != r.keys.Node.Public() || login != "l1" {
					t.Errorf("%v asks for %q", node, login)
				}
				if asked++; asked < 4 {
					time.Sleep(20 * time.Second)
					return ended(wire.AwaitLoginResponse_PENDING), nil
				}
				return last, nil
			}})
			before := r.c.Connections()
			o, err := r.follower.AwaitLogin(t.Context(), "l1")
			if err != nil || o.State != last.State || o.Reason != last.Reason || o.Below != last.Below {
				t.Fatalf("%s: %+v, %v", name, o, err)
			}
			if last.Session != nil && (o.Session.ID != "s1" || o.Session.User != "ada@clinic.example" || !o.Session.Until.Equal(session().Until) || len(o.Session.AMR) != 2) {
				t.Fatalf("%s: %+v", name, o.Session)
			}
			if n := r.c.Connections() - before; n > 2 { // the follower's may be one
				t.Fatalf("%s: %d connections for one sign-in", name, n)
			}
		})
	}
}

// A person is in a browser while the connection, and then the coordinator, goes
// away. The answer is not lost with it.
func TestAwaitLoginSurvivesTheCoordinatorsAbsence(t *testing.T) {
	virtual(t, func(t *testing.T) {
		r := newRig(t).begin()
		var asked atomic.Int64
		r.c.SignIn(controltest.SignIns{Await: func(ctx context.Context, _ key.NodePublic, _ string) (*wire.AwaitLoginResponse, error) {
			switch asked.Add(1) {
			case 1: // the connection is cut meanwhile
				<-ctx.Done()
				return nil, ctx.Err()
			case 2: // it cannot be asked just now
				return nil, connect.NewError(connect.CodeUnavailable, errors.New("starting"))
			case 3: // it never answers
				<-ctx.Done()
				return nil, ctx.Err()
			}
			return &wire.AwaitLoginResponse{State: wire.AwaitLoginResponse_DONE, Session: session().Proto()}, nil
		}})
		time.AfterFunc(5*time.Second, func() { r.c.Cut(true) })
		time.AfterFunc(2*time.Minute, func() { r.c.Cut(false) })
		begun := time.Now()
		o, err := r.follower.AwaitLogin(t.Context(), "l1")
		if err != nil || o.State != wire.AwaitLoginResponse_DONE {
			t.Fatal(o, err)
		}
		if took := time.Since(begun); took < 2*time.Minute || took > 4*time.Minute || asked.Load() != 4 {
			t.Fatalf("asked %d times in %s", asked.Load(), took)
		}
	})
}

// What would be answered the same again is told at once, in the coordinator's words.
func TestAwaitLoginTakesNoForAnAnswer(t *testing.T) {
	virtual(t, func(t *testing.T) {
		r := newRig(t).begin()
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		for _, code := range []connect.Code{connect.CodeNotFound, connect.CodePermissionDenied, connect.CodeFailedPrecondition, connect.CodeInvalidArgument, connect.CodeUnimplemented} {
			asked := 0
			r.c.SignIn(controltest.SignIns{Await: func(context.Context, key.NodePublic, string) (*wire.AwaitLoginResponse, error) {
				asked++
				return nil, connect.NewError(code, errors.New("no such sign-in"))
			}})
			if _, err := r.follower.AwaitLogin(ctx, "l1"); err == nil || err.Error() != "no such sign-in" || asked != 1 {
				t.Errorf("%v: %v after %d questions", code, err, asked)
			}
		}
		for name, m := range map[string]*wire.AwaitLoginResponse{
			"a state of a later version": ended(99),
			"done by nobody":             ended(wire.AwaitLoginResponse_DONE),
		} {
			r.c.SignIn(controltest.SignIns{Await: func(context.Context, key.NodePublic, string) (*wire.AwaitLoginResponse, error) { return m, nil }})
			if o, err := r.follower.AwaitLogin(t.Context(), "l1"); err == nil {
				t.Errorf("%s: %+v", name, o)
			}
		}
	})
}

// A coordinator that answers "not yet" at once is not asked without a pause, and
// one that is away not either; the caller's end is the end.
func TestAwaitLoginAsksAtItsOwnPace(t *testing.T) {
	virtual(t, func(t *testing.T) {
		r := newRig(t).begin()
		var asked atomic.Int64
		var failing atomic.Bool // an answer may be on its way still when nobody waits for it
		r.c.SignIn(controltest.SignIns{Await: func(context.Context, key.NodePublic, string) (*wire.AwaitLoginResponse, error) {
			if asked.Add(1) > 1000 {
				time.Sleep(time.Hour) // whoever never pauses makes time stand still
			}
			if failing.Load() {
				return nil, errors.New("not now")
			}
			return ended(wire.AwaitLoginResponse_PENDING), nil
		}})
		for _, fails := range []bool{false, true} {
			failing.Store(fails)
			asked.Store(0)
			late := errors.New("late")
			ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, late)
			_, err := r.follower.AwaitLogin(ctx, "l1")
			cancel()
			if n := asked.Load(); !errors.Is(err, late) || n < 8 || n > 62 {
				t.Fatalf("asked %d times in a minute, then %v", n, err)
			}
		}
	})
}

func TestLogout(t *testing.T) {
	virtual(t, func(t *testing.T) {
		r := newRig(t).begin()
		r.c.SignIn(controltest.SignIns{Logout: func(node key.NodePublic, session string) (uint32, error) {
			if node != r.keys.Node.Public() {
				t.Errorf("%v signs out", node)
			}
			if session == "s9" {
				return 0, connect.NewError(connect.CodeNotFound, errors.New("no session s9"))
			}
			return uint32(2 - len(session)/2), nil
		}})
		for session, want := range map[string]int{"": 2, "s1": 1} {
			if n, err := r.follower.Logout(t.Context(), session); err != nil || n != want {
				t.Fatal(session, n, err)
			}
		}
		if _, err := r.follower.Logout(t.Context(), "s9"); err == nil || err.Error() != "no session s9" {
			t.Fatal(err)
		}
	})
}
