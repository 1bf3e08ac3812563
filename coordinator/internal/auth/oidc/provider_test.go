package oidc_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zitadel/oidc/v3/example/server/exampleop"
	"github.com/zitadel/oidc/v3/example/server/storage"
	standard "github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"

	"github.com/cordonmesh/cordon/coordinator/internal/auth/oidc"
)

// What follows runs against a provider that is not ours: a certified library's
// server, with its own login form.

const (
	realIssuer = "https://id.example.org/"
	callback   = "https://mesh.example.org/login/callback"
)

// people are the provider's accounts.
type people map[string]*storage.User

func (p people) GetUserByID(id string) *storage.User         { return p[id] }
func (p people) GetUserByUsername(name string) *storage.User { return p[name] }
func (people) ExampleClientID() string                       { return "none" }

// accounts adds groups to what the server's example tells of its users, and no longer
// stands by those who left.
type accounts struct {
	*storage.Storage
	left *bool
}

func (a accounts) TokenRequestByRefreshToken(ctx context.Context, token string) (op.RefreshTokenRequest, error) {
	if *a.left {
		return nil, errors.New("the account is disabled")
	}
	return a.Storage.TokenRequestByRefreshToken(ctx, token)
}

func (a accounts) SetUserinfoFromToken(ctx context.Context, info *standard.UserInfo, token, subject, origin string) error {
	info.AppendClaims("groups", []string{"nurses", "Ward 3"})
	return a.Storage.SetUserinfoFromToken(ctx, info, token, subject, origin)
}

// real is the provider, as clients and as a browser see it.
type real struct {
	t       *testing.T
	handler http.Handler
	browser *http.Client
	left    bool // its people did
}

func newReal(t *testing.T) *real {
	t.Helper()
	ada := storage.User{ID: "ada", Username: "ada", Password: "verysecure", FirstName: "Ada", LastName: "L", Email: "Ada@example.org", EmailVerified: true}
	bob := ada
	bob.ID, bob.Username, bob.EmailVerified = "bob", "bob", false
	store := storage.NewStorageWithClients(people{"ada": &ada, "bob": &bob}, map[string]*storage.Client{
		"web": storage.WebClient("web", "web-secret", callback), "device": storage.DeviceClient("device", "device-secret"),
	})
	r := &real{t: t}
	r.handler = exampleop.SetupServer(realIssuer, accounts{store, &r.left}, nil, false)
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	r.browser = &http.Client{Transport: inMemory{r.handler}, Jar: jar, CheckRedirect: func(next *http.Request, _ []*http.Request) error {
		if strings.HasPrefix(next.URL.String(), callback) {
			return http.ErrUseLastResponse
		}
		return nil
	}}
	return r
}

func (r *real) provider(client string) *oidc.Provider {
	r.t.Helper()
	p, err := oidc.New(oidc.Config{Issuer: realIssuer, ClientID: client, ClientSecret: client + "-secret", RedirectURL: callback,
		Scopes: []string{"profile", "email", "offline_access"},
		HTTP:   &http.Client{Transport: inMemory{r.handler}}})
	if err != nil {
		r.t.Fatal(err)
	}
	return p
}

// signIn does what a person does, and gives what the browser brings back.
func (r *real) signIn(to, name string) url.Values {
	r.t.Helper()
	form, err := r.browser.Get(to)
	if err != nil {
		r.t.Fatal(err)
	}
	form.Body.Close()
	at := form.Request.URL
	back, err := r.browser.PostForm(at.Scheme+"://"+at.Host+at.Path, url.Values{
		"id": {at.Query().Get("authRequestID")}, "username": {name}, "password": {"verysecure"}})
	if err != nil {
		r.t.Fatal(err)
	}
	back.Body.Close()
	where, err := back.Location()
	if err != nil {
		r.t.Fatalf("%s: %v", back.Status, err)
	}
	return where.Query()
}

func attempt(letter string) oidc.Attempt {
	return oidc.Attempt{State: strings.Repeat(letter, 22), Nonce: strings.Repeat(letter, 23), Verifier: strings.Repeat(letter, 43), Begun: time.Now()}
}

func TestCodeFlowWithARealProvider(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReal(t)
		p, a := r.provider("web"), attempt("a")
		a.Afresh = true
		to, err := p.AuthURL(t.Context(), a)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute) // the person types
		back := r.signIn(to, "ada")
		who, err := p.Redeem(t.Context(), back.Get("code"), a)
		if err != nil || back.Get("state") != a.State {
			t.Fatalf("state %q, %v", back.Get("state"), err)
		}
		if who.Subject != "ada" || who.Login != "ada@example.org" || who.Name != "Ada L" || !who.At.Equal(time.Now()) ||
			!reflect.DeepEqual(who.AMR, []string{"pwd"}) || !reflect.DeepEqual(who.Groups, []string{"Ward 3", "nurses"}) {
			t.Errorf("got %+v", who)
		}
		var denied *oidc.Denied
		if _, err := p.Redeem(t.Context(), back.Get("code"), a); !errors.As(err, &denied) || denied.Code != "invalid_grant" {
			t.Errorf("a code twice: %v", err)
		}
	})
}

func TestRealProviderHoldsUsToOurAttempt_A16(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReal(t)
		p := r.provider("web")
		for name, other := range map[string]func(*oidc.Attempt){
			"another verifier": func(a *oidc.Attempt) { a.Verifier = strings.Repeat("b", 43) },
			"another nonce":    func(a *oidc.Attempt) { a.Nonce = strings.Repeat("b", 23) },
		} {
			a := attempt("a")
			to, err := p.AuthURL(t.Context(), a)
			if err != nil {
				t.Fatal(err)
			}
			back := r.signIn(to, "ada")
			other(&a)
			if _, err := p.Redeem(t.Context(), back.Get("code"), a); err == nil {
				t.Errorf("%s: redeemed", name)
			}
		}
		to, err := p.AuthURL(t.Context(), attempt("a"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Redeem(t.Context(), r.signIn(to, "bob").Get("code"), attempt("a")); !errors.Is(err, oidc.ErrUnproven) {
			t.Errorf("an address that is not verified: %v", err)
		}
	})
}

// enter does what a person does who was given a code.
func (r *real) enter(g *oidc.Grant, action string) {
	r.t.Helper()
	for _, step := range []struct {
		path string
		form url.Values
	}{
		{"device/login", url.Values{"user_code": {g.Code}, "username": {"ada"}, "password": {"verysecure"}}},
		{"device/confirm", url.Values{"action": {action}}},
	} {
		res, err := r.browser.PostForm(realIssuer+step.path, step.form)
		if err != nil {
			r.t.Fatal(err)
		}
		res.Body.Close()
	}
}

func TestDeviceGrantWithARealProvider(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReal(t)
		p := r.provider("device")
		for action, see := range map[string]func(who string, err error) bool{
			"allowed": func(who string, err error) bool { return err == nil && who == "ada@example.org" },
			"denied": func(who string, err error) bool {
				denied := new(oidc.Denied)
				return errors.As(err, &denied) && denied.Code == "access_denied" && who == ""
			},
		} {
			g, err := p.BeginGrant(t.Context(), time.Time{})
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasPrefix(g.URL, realIssuer) || !g.Until.Equal(time.Now().Add(5*time.Minute)) {
				t.Errorf("got %q until %v", g.URL, g.Until)
			}
			waiting, leave := context.WithTimeout(t.Context(), 12*time.Second)
			if _, err := p.RedeemGrant(waiting, g); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("before anybody entered the code: %v", err)
			}
			leave()
			r.enter(g, action)
			who, err := p.RedeemGrant(t.Context(), g)
			if !see(who.Login, err) {
				t.Errorf("%s: got %+v, %v", action, who, err)
			}
		}
	})
}
