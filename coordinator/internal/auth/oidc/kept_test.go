package oidc_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cordonmesh/cordon/coordinator/internal/auth/oidc"
	"github.com/cordonmesh/cordon/coordinator/internal/registry"
)

// disk is where refresh tokens outlive a provider's process.
type disk struct {
	mu      sync.Mutex
	rows    map[string]row
	written bytes.Buffer  // all that ever was
	stall   chan struct{} // given in the place of an acknowledgement, if it is not nil
}

type row struct {
	asked  bool
	sealed string
}

func (d *disk) Put(session string, asked bool, sealed []byte) <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.rows[session] = row{asked, string(sealed)}
	fmt.Fprintf(&d.written, "%s %s\n", session, sealed)
	if d.stall != nil {
		return d.stall
	}
	done := make(chan struct{})
	close(done)
	return done
}

func (d *disk) Delete(session string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.rows, session)
}

// crashed gives what a crash at this moment would leave.
func (d *disk) crashed() *disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	return &disk{rows: maps.Clone(d.rows)}
}

// lasting is a provider's client whose refresh tokens outlive it.
type lasting struct {
	*hostile
	*oidc.Provider
	disk *disk
	name string // by which the one of session s-1 is asked for
}

const session = "s-1"

// signedIn gives a client with a session at which somebody signed in.
func signedIn(t *testing.T) *lasting {
	t.Helper()
	h := newHostile(t)
	h.token["refresh_token"] = refresh
	l := &lasting{hostile: h, disk: &disk{rows: map[string]row{}}}
	h.config.Rows = l.disk
	l.Provider = h.provider()
	l.name = l.redeemed()
	l.Bind(l.name, session)
	delete(h.claims, "nonce")
	return l
}

func (l *lasting) redeemed() (name string) {
	l.t.Helper()
	l.claims["nonce"] = l.attempt.Nonce
	who, err := l.Redeem(l.t.Context(), code, l.attempt)
	if err != nil || who.Standing == "" {
		l.t.Fatalf("%+v, %v", who, err)
	}
	return who.Standing
}

// anew gives the client of a process that finds that disk.
func (l *lasting) anew(d *disk) *lasting {
	l.t.Helper()
	next := &lasting{hostile: l.hostile, disk: d}
	l.config.Rows = d
	next.Provider = l.hostile.provider()
	r := d.rows[session]
	subject, name, ok := next.TakeUp(session, r.asked, []byte(r.sealed))
	if !ok || subject != "248289761001" {
		l.t.Fatalf("taken up: %q, %t", subject, ok)
	}
	next.name = name
	return next
}

func (l *lasting) renew() (registry.Identity, error) { return l.Renew(l.t.Context(), l.name) }

// last gives the token by which was asked last.
func (l *lasting) last() string {
	all := l.seen["/token"]
	return all[len(all)-1].Get("refresh_token")
}

// refuses lets the provider no longer stand by anybody.
func (l *lasting) refuses() {
	l.paths["/token"] = func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprintf(w, `{"error":"invalid_grant","error_description":"no %s"}`, r.Form.Get("refresh_token"))
	}
}

func isClear(err error) bool {
	denied := new(oidc.Denied)
	return errors.As(err, &denied) && denied.Code == "invalid_grant"
}

// A process that starts anew asks by the token that came last, and the refusal of it is
// a clear word.
func TestRefreshTokensOutliveTheProcess(t *testing.T) {
	l := signedIn(t)
	l = l.anew(l.disk.crashed())
	l.token["refresh_token"] = "the-second-one"
	if who, err := l.renew(); err != nil || who.Login != "ada@example.org" || l.last() != refresh {
		t.Fatalf("%+v, %v, asked by %q", who, err, l.last())
	}
	l = l.anew(l.disk.crashed())
	delete(l.token, "refresh_token") // a provider that does not rotate
	for range 2 {
		if _, err := l.renew(); err != nil || l.last() != "the-second-one" {
			t.Fatalf("%v, asked by %q", err, l.last())
		}
		l = l.anew(l.disk.crashed())
	}
	l.refuses()
	for range 2 { // also of a process that ended before it could obey
		if _, err := l.renew(); !isClear(err) || errors.Is(err, oidc.ErrDoubtful) {
			t.Errorf("of somebody who left: %v", err)
		}
		l = l.anew(l.disk.crashed())
	}
	l.Release(l.name)
	if len(l.disk.rows) > 0 {
		t.Errorf("%v stand there of a session that ended", l.disk.rows)
	}
}

// A crash while a question is under way leaves a token that may be spent: its refusal
// is no clear word, an answer makes it a good one again.
func TestCrashBeforeTheAnswer(t *testing.T) {
	l := signedIn(t)
	var left *disk
	l.paths["/token"] = func(w http.ResponseWriter, _ *http.Request) {
		left = l.disk.crashed()
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	if _, err := l.renew(); !errors.Is(err, oidc.ErrUnavailable) || !left.rows[session].asked {
		t.Fatalf("%v, left is %+v", err, left)
	}
	if l.disk.rows[session].asked {
		t.Error("a failure that the process saw is no crash")
	}
	l.refuses()
	refused := l.anew(left.crashed())
	for range 2 {
		if _, err := refused.renew(); !errors.Is(err, oidc.ErrDoubtful) || isClear(err) || strings.Contains(err.Error(), refresh) {
			t.Errorf("refused: %v", err)
		}
	}
	if !refused.disk.rows[session].asked {
		t.Error("what is in doubt is so no more")
	}
	delete(l.paths, "/token")
	l.token["refresh_token"] = "the-second-one"
	taken := l.anew(left)
	if _, err := taken.renew(); err != nil || taken.disk.rows[session].asked {
		t.Fatalf("taken: %v", err)
	}
	l.refuses()
	if _, err := taken.renew(); !isClear(err) || taken.last() != "the-second-one" {
		t.Errorf("in doubt no more: %v, asked by %q", err, taken.last())
	}
}

// The question goes out when its mark is on the disk, and the answer counts when the
// next token is, and not before; nobody who signs in waits for a disk.
func TestQuestionWaitsForItsMark(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := signedIn(t)
		l.disk.stall = make(chan struct{})
		l.Bind(l.redeemed(), "s-2") // at once
		asked := len(l.seen["/token"])
		ctx, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		if _, err := l.Renew(ctx, l.name); !errors.Is(err, context.DeadlineExceeded) || len(l.seen["/token"]) > asked {
			t.Errorf("asked before: %v", err)
		}
		time.AfterFunc(time.Minute, func() { close(l.disk.stall) })
		var next time.Time
		l.paths["/token"] = func(w http.ResponseWriter, r *http.Request) {
			delete(l.paths, "/token")
			l.disk.stall, next = make(chan struct{}), time.Now().Add(time.Minute)
			time.AfterFunc(time.Minute, func() { close(l.disk.stall) })
			l.ServeHTTP(w, r)
		}
		if _, err := l.renew(); err != nil || time.Now().Before(next) {
			t.Errorf("the answer counts before the next token is on the disk: %v", err)
		}
	})
}

// A process that stops waits a little for the answer to what it asked: it may hold the
// only token that still counts.
func TestStoppedWhileAQuestionIsUnderWay(t *testing.T) {
	for takes, kept := range map[time.Duration]bool{2 * time.Second: true, 4 * time.Second: false} {
		synctest.Test(t, func(t *testing.T) {
			l := signedIn(t)
			l.token["refresh_token"] = "the-second-one"
			ctx, stop := context.WithCancel(t.Context())
			l.paths["/token"] = func(w http.ResponseWriter, r *http.Request) {
				stop()
				select {
				case <-time.After(takes):
				case <-r.Context().Done():
				}
				delete(l.paths, "/token")
				l.ServeHTTP(w, r)
			}
			begun := time.Now()
			_, err := l.Renew(ctx, l.name)
			if r := l.disk.rows[session]; r.asked == kept || time.Since(begun) > 3*time.Second {
				t.Errorf("an answer after %v: asked %t after %v, %v", takes, r.asked, time.Since(begun), err)
			}
			if kept {
				next := l.anew(l.disk.crashed())
				if _, err := next.renew(); err != nil || next.last() != "the-second-one" {
					t.Errorf("%v, asked by %q", err, next.last())
				}
			}
		})
	}
}

// Who signs in anew while the old token is asked by keeps the new one.
func TestLateAnswerTakesNobodysPlace(t *testing.T) {
	l := signedIn(t)
	l.token["refresh_token"] = "of-the-next-sign-in"
	name := l.redeemed()
	l.paths["/token"] = func(w http.ResponseWriter, r *http.Request) {
		delete(l.paths, "/token")
		l.Bind(name, session)
		l.token["refresh_token"] = "late"
		l.ServeHTTP(w, r)
	}
	delete(l.claims, "nonce")
	if _, err := l.renew(); err != nil {
		t.Fatal(err)
	}
	l.Release(l.name)
	next := l.anew(l.disk.crashed())
	if _, err := next.renew(); err != nil || next.last() != "of-the-next-sign-in" {
		t.Errorf("%v, asked by %q", err, next.last())
	}
}

// What was sealed opens with the same secret, for the same client, session and mark
// alone, and nothing of it can be read.
func TestWhatIsWrittenDownIsSealed_A44_A58(t *testing.T) {
	l := signedIn(t)
	if _, err := l.renew(); err != nil {
		t.Fatal(err)
	}
	for _, s := range append(forms(refresh, secret), "248289761001", "ada@example.org") {
		if strings.Contains(l.disk.written.String(), s) {
			t.Errorf("%q is on the disk", s)
		}
	}
	r := l.disk.rows[session]
	changed := []byte(r.sealed)
	changed[30] ^= 1
	own := l.config
	for name, c := range map[string]struct {
		change func(*oidc.Config)
		of     string
		asked  bool
		sealed string
	}{
		"another secret":  {func(c *oidc.Config) { c.ClientSecret = "rotated" }, session, false, r.sealed},
		"another client":  {func(c *oidc.Config) { c.ClientID = "other" }, session, false, r.sealed},
		"another issuer":  {func(c *oidc.Config) { c.Issuer += "2" }, session, false, r.sealed},
		"a public client": {func(c *oidc.Config) { c.ClientSecret = "" }, session, false, r.sealed},
		"another session": {nil, "s-2", false, r.sealed},
		"another mark":    {nil, session, true, r.sealed},
		"a changed row":   {nil, session, false, string(changed)},
		"a cut row":       {nil, session, false, r.sealed[:20]},
		"an empty row":    {nil, session, false, ""},
	} {
		l.config = own
		if c.change != nil {
			c.change(&l.config)
		}
		if _, name2, ok := l.hostile.provider().TakeUp(c.of, c.asked, []byte(c.sealed)); ok || name2 != "" {
			t.Errorf("%s: opened", name)
		}
	}
}

// A public client writes nothing down: whoever has the disk would lack nothing.
func TestPublicClientWritesNothingDown(t *testing.T) {
	l := signedIn(t)
	l.disk = &disk{rows: map[string]row{}}
	l.config.ClientSecret, l.config.Rows = "", l.disk
	l.Provider = l.hostile.provider()
	l.name = l.redeemed()
	l.Bind(l.name, session)
	delete(l.claims, "nonce")
	if _, err := l.renew(); err != nil || l.disk.written.Len() > 0 {
		t.Errorf("%v, %d bytes", err, l.disk.written.Len())
	}
}
