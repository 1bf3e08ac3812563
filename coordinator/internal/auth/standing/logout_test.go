package standing_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/coordinator/internal/auth/standing"
	"github.com/cordonmesh/cordon/coordinator/internal/registry"
)

const issuer = "https://id.example"

// teller tells a door of logouts, as a provider does.
type teller struct {
	door  *standing.Door
	done  []registry.SignOut
	fail  error
	now   time.Time
	reads int
}

func newTeller() *teller {
	p := &teller{now: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)}
	p.door = standing.NewDoor(standing.Config{
		Issuer: issuer, Now: func() time.Time { return p.now }, Log: slog.New(slog.DiscardHandler),
		Read: func(_ context.Context, token string) (standing.Logout, error) {
			p.reads++
			if id, ok := strings.CutPrefix(token, "good-"); ok {
				return standing.Logout{ID: id, Subject: "ana", SID: "s", Until: p.now.Add(time.Minute)}, nil
			}
			return standing.Logout{}, errors.New("a secret reason")
		},
		Do: func(_ context.Context, c registry.Command) (registry.Result, error) {
			if p.fail == nil {
				p.done = append(p.done, c.(registry.SignOut))
			}
			return registry.Result{Ended: 1}, p.fail
		},
	})
	return p
}

func (p *teller) tell(method, token string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, standing.LogoutPath, strings.NewReader(url.Values{"logout_token": {token}}.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	p.door.ServeHTTP(w, r)
	return w
}

// Each logout token counts once, until it is refused for its age anyway; one that
// could not be obeyed may come again.
func TestLogoutCountsOnce_A17(t *testing.T) {
	p := newTeller()
	if w := p.tell("POST", "good-1"); w.Code != 200 || len(p.done) != 1 || p.done[0] != (registry.SignOut{Issuer: issuer, Subject: "ana", SID: "s"}) ||
		w.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("%d, %+v", w.Code, p.done)
	}
	if w := p.tell("POST", "good-1"); w.Code != 400 || len(p.done) != 1 {
		t.Errorf("twice: %d, %+v", w.Code, p.done)
	}
	p.fail = registry.ErrFull
	if w := p.tell("POST", "good-2"); w.Code != 400 {
		t.Errorf("without space: %d", w.Code)
	}
	p.fail = nil
	if w := p.tell("POST", "good-2"); w.Code != 200 || len(p.done) != 2 {
		t.Errorf("told again: %d", w.Code)
	}
}

// What strangers bring signs nobody out, tells them nothing, and is soon not looked at.
func TestStrangersTellNothing_A51(t *testing.T) {
	p := newTeller()
	if w := p.tell("POST", "bad"); w.Code != 400 || strings.Contains(w.Body.String(), "secret reason") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := p.tell("GET", "good-1"); w.Code != 405 || len(p.done) > 0 {
		t.Errorf("GET: %d", w.Code)
	}
	if w := p.tell("POST", strings.Repeat("x", 40<<10)); w.Code != 400 {
		t.Errorf("a long form: %d", w.Code)
	}
	for range 300 {
		p.tell("POST", "bad")
	}
	if p.reads > 50 {
		t.Errorf("%d wrong tokens were read", p.reads)
	}
	if w := p.tell("POST", "good-1"); w.Code != 429 {
		t.Errorf("%d", w.Code)
	}
	p.now = p.now.Add(10 * time.Second)
	if w := p.tell("POST", "good-1"); w.Code != 200 || len(p.done) != 1 {
		t.Errorf("later: %d, %+v", w.Code, p.done)
	}
}
