package node_test

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
	"github.com/cordonmesh/cordon/node/internal/control/controltest"
	"github.com/cordonmesh/cordon/node/local"
)

func sessionOf(id string, until time.Time) wire.Session {
	return wire.Session{ID: id, User: "ada@clinic.example", At: time.Now().Truncate(time.Second).UTC(), Until: until.Truncate(time.Second).UTC(),
		AMR: []string{"otp", "pwd"}, ACR: "urn:example:loa2"}
}

// upWith is a node that has its first map, changed by a function.
func upWith(t *testing.T, change func(*wire.SelfRecord)) (*machine, *controltest.Stream) {
	t.Helper()
	m := newMachine(t, controltest.OnLoopback(t), "ward", "100.64.0.1")
	s, up := m.join()
	m.give(s, m.withSelf(5, change))
	if err := <-up; err != nil {
		t.Fatal(err)
	}
	return m, s
}

func (m *machine) withSelf(revision uint64, change func(*wire.SelfRecord)) wire.Map {
	next := m.full(revision, nil)
	change(&next.Self)
	return next
}

func TestAPersonSignsInAndOut(t *testing.T) {
	m, s := upWith(t, func(self *wire.SelfRecord) { self.SignIn = true })
	if now := m.status(); !now.SignIn || !now.SignedOut || len(now.Sessions) != 0 || now.Login != nil {
		t.Fatalf("before: %+v", now)
	}
	until := time.Now().Add(8 * time.Hour)
	went := make(chan struct{})
	m.c.SignIn(controltest.SignIns{
		Begin: func(node key.NodePublic, q *wire.BeginLoginRequest) (*wire.BeginLoginResponse, error) {
			if node != m.key || !q.Afresh || q.DeviceCode {
				t.Errorf("%v asks %v", node, q)
			}
			return &wire.BeginLoginResponse{Login: "l1", Url: "https://c.example/login/l1", Code: "KITE", Until: time.Now().Add(10 * time.Minute).Unix()}, nil
		},
		Await: func(ctx context.Context, _ key.NodePublic, login string) (*wire.AwaitLoginResponse, error) {
			select {
			case <-went:
			case <-ctx.Done():
			}
			return &wire.AwaitLoginResponse{State: wire.AwaitLoginResponse_DONE, Session: sessionOf("s1", until).Proto()}, ctx.Err()
		},
		Logout: func(node key.NodePublic, session string) (uint32, error) {
			time.AfterFunc(50*time.Millisecond, func() {
				m.give(s, m.withSelf(7, func(self *wire.SelfRecord) { self.SignIn = true }))
			})
			return 1, nil
		},
	})
	l, err := m.Login(t.Context(), local.LoginRequest{Afresh: true})
	if err != nil || l.ID != "l1" || l.URL != "https://c.example/login/l1" || l.Code != "KITE" || time.Until(l.Until) < 9*time.Minute {
		t.Fatalf("%+v, %v", l, err)
	}
	if got := m.status().Login; got == nil || *got != *l {
		t.Fatalf("the sign-in under way is %+v", got)
	}
	// The map that makes it true comes a little after the answer.
	time.AfterFunc(20*time.Millisecond, func() { close(went) })
	time.AfterFunc(100*time.Millisecond, func() {
		m.give(s, m.withSelf(6, func(self *wire.SelfRecord) {
			self.SignIn, self.Sessions = true, []wire.Session{sessionOf("s1", until)}
		}))
	})
	o, err := m.AwaitLogin(t.Context(), local.AwaitLoginRequest{ID: l.ID})
	if err != nil || o.State != local.LoginDone || o.Session == nil || o.Session.User != "ada@clinic.example" || o.Session.Ended {
		t.Fatalf("%+v, %v", o, err)
	}
	all, err := m.Sessions(t.Context())
	if err != nil || !all.SignIn || all.SignedOut || len(all.Sessions) != 1 {
		t.Fatalf("at once after it: %+v, %v", all, err)
	}
	if one := all.Sessions[0]; one.ID != "s1" || one.Until.Unix() != until.Unix() || len(one.AMR) != 2 || one.ACR == "" || one.At.IsZero() || one.Ended {
		t.Fatalf("%+v", one)
	}
	if now := m.status(); now.Login != nil || now.SignedOut || len(now.Sessions) != 1 {
		t.Fatalf("after: %+v", now)
	}
	if r, err := m.Logout(t.Context(), local.LogoutRequest{}); err != nil || r.Ended != 1 {
		t.Fatal(r, err)
	}
	if now := m.status(); !now.SignedOut || len(now.Sessions) != 0 {
		t.Fatalf("at once after signing out: %+v", now)
	}
}

// A sign-in may go on with a session that the map holds, as one of which something drains:
// its answer waits for the map in which that holds again.
func TestSignInGoesOnWithASession(t *testing.T) {
	at := func(until time.Time) func(*wire.SelfRecord) {
		return func(self *wire.SelfRecord) { self.SignIn, self.Sessions = true, []wire.Session{sessionOf("s1", until)} }
	}
	m, s := upWith(t, at(time.Now().Add(-time.Minute)))
	until := time.Now().Add(8 * time.Hour)
	m.c.SignIn(controltest.SignIns{
		Begin: func(key.NodePublic, *wire.BeginLoginRequest) (*wire.BeginLoginResponse, error) {
			return &wire.BeginLoginResponse{Login: "l1", Url: "https://c.example/login/l1", Until: time.Now().Add(time.Minute).Unix()}, nil
		},
		Await: func(context.Context, key.NodePublic, string) (*wire.AwaitLoginResponse, error) {
			time.AfterFunc(100*time.Millisecond, func() { m.give(s, m.withSelf(6, at(until))) })
			return &wire.AwaitLoginResponse{State: wire.AwaitLoginResponse_DONE, Session: sessionOf("s1", until).Proto()}, nil
		},
	})
	if o, err := m.AwaitLogin(t.Context(), local.AwaitLoginRequest{ID: "l1"}); err != nil || o.State != local.LoginDone {
		t.Fatalf("%+v, %v", o, err)
	}
	if now := m.status(); now.SignedOut || len(now.Sessions) != 1 || now.Sessions[0].Ended {
		t.Errorf("at once after it: %+v", now.Sessions)
	}
}

func TestSignInsThatEndWithoutASession(t *testing.T) {
	m, _ := upWith(t, func(*wire.SelfRecord) {})
	if _, err := m.Login(t.Context(), local.LoginRequest{}); err == nil || err.Error() != "nobody can sign in at this coordinator" {
		t.Fatal("a coordinator without sign-ins:", err)
	}
	answer := &wire.AwaitLoginResponse{State: wire.AwaitLoginResponse_REFUSED, Reason: "this account is disabled"}
	m.c.SignIn(controltest.SignIns{
		Begin: func(key.NodePublic, *wire.BeginLoginRequest) (*wire.BeginLoginResponse, error) {
			return &wire.BeginLoginResponse{Login: "l1", Url: "https://c.example/login/l1", Until: time.Now().Add(time.Minute).Unix()}, nil
		},
		Await: func(_ context.Context, _ key.NodePublic, login string) (*wire.AwaitLoginResponse, error) {
			switch login {
			case "l0":
				return &wire.AwaitLoginResponse{State: wire.AwaitLoginResponse_EXPIRED}, nil
			case "l2":
				return nil, connect.NewError(connect.CodeNotFound, errors.New("no such sign-in"))
			}
			return answer, nil
		},
	})
	for _, want := range []local.LoginOutcome{{State: local.LoginRefused, Reason: "this account is disabled"}, {State: local.LoginExpired}} {
		if _, err := m.Login(t.Context(), local.LoginRequest{}); err != nil || m.status().Login == nil {
			t.Fatal(err)
		}
		if o, err := m.AwaitLogin(t.Context(), local.AwaitLoginRequest{ID: "l0"}); err != nil || o.State != local.LoginExpired || m.status().Login == nil {
			t.Fatal("an earlier one:", o, err)
		}
		if _, err := m.AwaitLogin(t.Context(), local.AwaitLoginRequest{ID: "l2"}); err == nil || err.Error() != "no such sign-in" || m.status().Login == nil {
			t.Fatal("another's:", err)
		}
		o, err := m.AwaitLogin(t.Context(), local.AwaitLoginRequest{ID: "l1"})
		if err != nil || *o != want || m.status().Login != nil {
			t.Fatalf("%+v, %v, want %+v", o, err, want)
		}
		answer = &wire.AwaitLoginResponse{State: wire.AwaitLoginResponse_EXPIRED}
	}
}

// Who opened a sign-in may be gone before its end: the map says it then. And one
// whose time is over is not shown for ever.
func TestStatusForgetsASignInThatIsOver(t *testing.T) {
	before, fresh := sessionOf("s1", time.Now().Add(time.Hour)), sessionOf("s2", time.Now().Add(time.Hour))
	m, s := upWith(t, func(self *wire.SelfRecord) { self.Sessions = []wire.Session{before} })
	life := atomic.Int64{}
	life.Store(int64(time.Hour))
	m.c.SignIn(controltest.SignIns{Begin: func(key.NodePublic, *wire.BeginLoginRequest) (*wire.BeginLoginResponse, error) {
		return &wire.BeginLoginResponse{Login: "l1", Url: "https://c.example/login/l1", Until: time.Now().Add(time.Duration(life.Load())).Unix()}, nil
	}})
	begin := func() {
		t.Helper()
		if _, err := m.Login(t.Context(), local.LoginRequest{}); err != nil {
			t.Fatal(err)
		}
	}
	begin()
	m.give(s, m.withSelf(6, func(self *wire.SelfRecord) { self.Tags, self.Sessions = []string{"tag:ward"}, []wire.Session{before} }))
	m.eventually("another map", func() bool { return len(m.status().Tags) == 1 })
	if m.status().Login == nil {
		t.Fatal("a map without a new session ended it")
	}
	m.give(s, m.withSelf(7, func(self *wire.SelfRecord) { self.Sessions = []wire.Session{before, fresh} }))
	m.eventually("the session came", func() bool { now := m.status(); return len(now.Sessions) == 2 && now.Login == nil })
	life.Store(int64(-time.Second))
	begin()
	if got := m.status().Login; got != nil {
		t.Fatalf("over, and shown: %+v", got)
	}
}

// Sessions come from the map alone: they are there after a cold start without a
// coordinator, and one that has ended meanwhile says so. Who is none of them can
// neither begin one nor end one there.
func TestSessionsWithoutACoordinator(t *testing.T) {
	m, _ := upWith(t, func(self *wire.SelfRecord) {
		self.SignIn = true
		self.Sessions = []wire.Session{sessionOf("s1", time.Now().Add(-time.Second)), sessionOf("s2", time.Now().Add(time.Hour))}
	})
	live := func(now *local.Status) string {
		text := ""
		for _, s := range now.Sessions {
			text += s.ID
			if s.Ended {
				text += " ended "
			}
		}
		return text
	}
	if now := m.status(); live(now) != "s1 ended s2" || now.SignedOut {
		t.Fatalf("%+v", now)
	}
	m.end()
	m.c.Close()
	m.run()
	m.eventually("the map from disk is enforced", func() bool { return m.status().State == local.StateRunning })
	if now := m.status(); live(now) != "s1 ended s2" || now.SignedOut || !now.Map.FromDisk || now.Coordinator.Connected {
		t.Fatalf("after a cold start: %+v", now)
	}
	for what, err := range map[string]error{
		"login":  second(m.Login(t.Context(), local.LoginRequest{})),
		"await":  second(m.AwaitLogin(t.Context(), local.AwaitLoginRequest{ID: "l1"})),
		"logout": second(m.Logout(t.Context(), local.LogoutRequest{Session: "s3"})),
	} {
		if err == nil || !strings.Contains(err.Error(), "the coordinator is away (") {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := m.Down(t.Context()); err != nil {
		t.Fatal(err)
	}
	for what, err := range map[string]error{
		"login": second(m.Login(t.Context(), local.LoginRequest{})), "sessions": second(m.Sessions(t.Context())),
		"await": second(m.AwaitLogin(t.Context(), local.AwaitLoginRequest{ID: "l1"})), "logout": second(m.Logout(t.Context(), local.LogoutRequest{})),
	} {
		if err == nil || !strings.Contains(err.Error(), "cordon up") {
			t.Errorf("%s on a node that is down: %v", what, err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

// Nobody is asked to sign in where nobody has to, or where the machine is
// nobody's; and a session that has ended is none.
func TestSignedOutIsSaidOfAPersonsMachine(t *testing.T) {
	m, s := upWith(t, func(*wire.SelfRecord) {})
	for i, c := range []struct {
		name   string
		change func(*wire.SelfRecord)
		want   bool
	}{
		{"nobody must sign in", func(self *wire.SelfRecord) {}, false},
		{"they must", func(self *wire.SelfRecord) { self.SignIn = true }, true},
		{"a server", func(self *wire.SelfRecord) { self.SignIn, self.User, self.Owner = true, "", 0 }, false},
		{"somebody has", func(self *wire.SelfRecord) {
			self.SignIn, self.Sessions = true, []wire.Session{sessionOf("s1", time.Now().Add(time.Hour))}
		}, false},
		{"it has ended", func(self *wire.SelfRecord) {
			self.SignIn, self.Sessions = true, []wire.Session{sessionOf("s1", time.Now().Add(-time.Second))}
		}, true},
	} {
		revision := uint64(10 + i)
		m.give(s, m.withSelf(revision, c.change))
		m.eventually(c.name, func() bool { return m.status().Map.Revision == revision })
		if got := m.status().SignedOut; got != c.want {
			t.Errorf("%s: signed out %v", c.name, got)
		}
	}
}
