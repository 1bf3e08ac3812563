package idp

import (
	"context"
	"crypto/rand"
	"net/http"
	"sync"
	"time"

	"github.com/zitadel/oidc/v3/example/server/storage"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// proof is what the provider knows of how somebody proved who they are.
type proof struct {
	name  string
	at    time.Time
	level string // empty: of none in particular
}

// memory adds to what the server's example keeps that browsers are remembered, as
// every provider does whose people sign in once for many sites.
type memory struct {
	*storage.Storage

	mu       sync.Mutex
	browsers map[string]proof // by cookie
	answered map[string]proof // by the id of the authorization request
	levels   map[string]string
}

func newMemory(s *storage.Storage) *memory {
	return &memory{Storage: s, browsers: map[string]proof{}, answered: map[string]proof{}, levels: map[string]string{}}
}

// The server's own paths.
const (
	formPath = "/login/username"
	backPath = "/auth/callback"
)

// remember stands before the form: a browser whose person has proved themselves does
// not see it again, unless whoever leads there asks for more.
func (m *memory) remember(form http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != formPath {
			form.ServeHTTP(w, r)
			return
		}
		browser := cookie(w, r)
		if id := r.FormValue("authRequestID"); r.Method == http.MethodGet && m.recall(r.Context(), browser, id) {
			http.Redirect(w, r, backPath+"?id="+id, http.StatusFound)
			return
		}
		form.ServeHTTP(w, r)
		if r.Method == http.MethodPost {
			m.keep(browser, r.FormValue("id"))
		}
	})
}

// cookie names a browser, from its first visit on.
func cookie(w http.ResponseWriter, r *http.Request) string {
	const name = "remembered"
	if c, err := r.Cookie(name); err == nil {
		return c.Value
	}
	c := &http.Cookie{Name: name, Value: rand.Text(), Path: "/", HttpOnly: true}
	http.SetCookie(w, c)
	return c.Value
}

// CreateAuthRequest keeps which level a request is for, which the example forgets. A
// proof is of one only if it was asked for (acr_values, which is a list by preference).
func (m *memory) CreateAuthRequest(ctx context.Context, asked *oidc.AuthRequest, user string) (op.AuthRequest, error) {
	r, err := m.Storage.CreateAuthRequest(ctx, asked, user)
	if err == nil && len(asked.ACRValues) > 0 {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.levels[r.GetID()] = asked.ACRValues[0]
	}
	return r, err
}

// recall answers a request with what the browser's person proved before, if that is
// enough for it (OpenID Connect Core section 3.1.2.1, prompt and max_age; with the one
// the server sets the other).
func (m *memory) recall(ctx context.Context, browser, id string) bool {
	m.mu.Lock()
	known, ok := m.browsers[browser]
	ok = ok && (m.levels[id] == "" || m.levels[id] == known.level)
	m.mu.Unlock()
	asked, err := m.Storage.AuthRequestByID(ctx, id)
	if err != nil || !ok {
		return false
	}
	if most := asked.(*storage.AuthRequest).MaxAuthAge; most != nil && time.Since(known.at) >= *most {
		return false
	}
	return m.answer(id, known)
}

// answer ends a request with a proof.
func (m *memory) answer(id string, p proof) bool {
	if m.Storage.CheckUsernamePassword(p.name, Password, id) != nil {
		return false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.answered[id] = p
	return true
}

func (m *memory) keep(browser, id string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if p, ok := m.answered[id]; ok {
		m.browsers[browser] = p
	}
}

// CheckUsernamePassword takes what somebody filled into the form.
func (m *memory) CheckUsernamePassword(name, password, id string) error {
	if err := m.Storage.CheckUsernamePassword(name, password, id); err != nil {
		return err
	}
	m.mu.Lock()
	level := m.levels[id]
	m.mu.Unlock()
	m.answer(id, proof{name: name, at: time.Now(), level: level})
	return nil
}

// answer is a request with the proof that it was answered with.
type answer struct {
	*storage.AuthRequest
	proof
}

func (a *answer) GetAuthTime() time.Time { return a.at }
func (a *answer) GetACR() string         { return a.level }

// GetAMR: a level is proved by a key beside the password.
func (a *answer) GetAMR() []string {
	if a.level != "" {
		return []string{"pwd", "hwk"}
	}
	return []string{"pwd"}
}

func (m *memory) AuthRequestByID(ctx context.Context, id string) (op.AuthRequest, error) {
	return m.proved(m.Storage.AuthRequestByID(ctx, id))
}

func (m *memory) AuthRequestByCode(ctx context.Context, code string) (op.AuthRequest, error) {
	return m.proved(m.Storage.AuthRequestByCode(ctx, code))
}

func (m *memory) proved(r op.AuthRequest, err error) (op.AuthRequest, error) {
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	p, ok := m.answered[r.GetID()]
	if !ok {
		return r, nil
	}
	return &answer{r.(*storage.AuthRequest), p}, nil
}

// The example makes tokens for what it keeps itself.
func own(r op.TokenRequest) op.TokenRequest {
	if a, ok := r.(*answer); ok {
		return a.AuthRequest
	}
	return r
}

func (m *memory) CreateAccessToken(ctx context.Context, r op.TokenRequest) (id string, until time.Time, err error) {
	return m.Storage.CreateAccessToken(ctx, own(r))
}

func (m *memory) CreateAccessAndRefreshTokens(ctx context.Context, r op.TokenRequest, before string) (id, refresh string, until time.Time, err error) {
	return m.Storage.CreateAccessAndRefreshTokens(ctx, own(r), before)
}
