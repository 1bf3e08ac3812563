package integration

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/cordonmesh/cordon/integration/idp"
	"github.com/cordonmesh/cordon/integration/lab"
	"github.com/cordonmesh/cordon/node/local"
)

// overheard is what a coordinator and a provider of identities tell each other
// that nobody else may know, by what it is.
type overheard struct {
	sync.Mutex
	values map[string][]string
}

func (o *overheard) add(what, value string) {
	o.Lock()
	defer o.Unlock()
	if value != "" {
		o.values[what] = append(o.values[what], value)
	}
}

// listen stands before a provider and notes what passes: what the address of a
// sign-in asks to be given back, codes, what redeems them, and what is told.
func (o *overheard) listen(provider http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, name := range []string{"state", "nonce"} {
			o.add("the "+name, r.URL.Query().Get(name))
		}
		if r.Method != http.MethodPost || r.URL.Path != "/oauth/token" {
			provider.ServeHTTP(w, r)
			return
		}
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		if asked, err := url.ParseQuery(string(body)); err == nil {
			for _, name := range []string{"code", "code_verifier", "client_secret"} {
				o.add("the "+name, asked.Get(name))
			}
		}
		answer := httptest.NewRecorder()
		provider.ServeHTTP(answer, r)
		var told map[string]any
		if json.Unmarshal(answer.Body.Bytes(), &told) == nil {
			for _, name := range []string{"id_token", "access_token", "refresh_token"} {
				value, _ := told[name].(string)
				o.add("the "+name, value)
			}
		}
		for name, values := range answer.Header() {
			w.Header()[name] = values
		}
		w.WriteHeader(answer.Code)
		w.Write(answer.Body.Bytes())
	})
}

// A58: what proves a person, an operator, a directory or a warning, and what binds a sign-in to a browser, is in no log
// at its most talkative, answer, audit, database, backup, argument or packet,
// whether the sign-in succeeds or fails.
func TestProofsAreKeptNowhere_A58(t *testing.T) {
	t.Parallel()
	if !lab.Require(t) {
		return
	}
	s := &scene{t: t, programs: lab.Build(t), nodes: map[string]*lab.Daemon{}}
	s.Lab = lab.Up(t, lab.Segment("hub", "ward"))
	hub, heard := s.Host("hub"), &overheard{values: map[string][]string{}}
	at := "https://" + netip.AddrPortFrom(hub.Addr4(), 8443).String()
	posted := make(chan string, 8)
	s.serving = slices.Concat(serveProvider(t, hub, at, heard.listen), offline(), guarded(t, hub, posted), []string{"--log-level", "debug"})
	wire := hub.Capture("eth0", nil)
	s.found(nurses, member{"ward", "nina@hospital.example", []string{"--log-level", "debug"}})

	said := map[string]string{}
	visit := func(who, name string) {
		client := local.NewClient(s.nodes["ward"].Socket())
		defer client.Close()
		opened, err := client.Login(t.Context(), local.LoginRequest{})
		if err != nil {
			t.Fatal(err)
		}
		b := newBrowser(t, hub)
		asked, _ := b.visit(opened.URL)
		heard.add("the sign-in", opened.ID)
		for _, c := range b.Cookies(asked) {
			heard.add("the cookie", c.Value)
		}
		said["the page of "+who] = b.signIn(opened.URL, name)
		told, err := client.AwaitLogin(t.Context(), local.AwaitLoginRequest{ID: opened.ID})
		if err != nil || (told.State == local.LoginDone) != (name == "nina") {
			t.Errorf("%s: %+v, %v", who, told, err)
		}
		// What a stranger makes of it who saw the browser's history.
		stranger := newBrowser(t, hub)
		for _, query := range []url.Values{
			{"state": heard.values["the state"][:1], "code": heard.values["the code"][:1]},
			{"state": {"guessed"}, "code": heard.values["the code"][:1]},
			{"state": heard.values["the state"][:1], "error": {"access_denied"}, "error_description": {"of a stranger's"}},
		} {
			_, page := stranger.visit(at + "/login/callback?" + query.Encode())
			said["a stranger's page after "+who+" by "+query.Encode()[:5]] += page
		}
	}
	visit("nina", "nina")
	visit("ben at nina's", "ben")
	secrets := s.operated(t, posted, said)
	s.everyAnswer(t, said)
	if !strings.Contains(said["cordonctl session list"], "nina@hospital.example") {
		t.Errorf("nobody signed in: %s", said["cordonctl session list"])
	}

	s.leave(t, wire, said)
	hunt(t, append(heard.secrets(t), secrets...), said)
}

// secrets gives what was heard, of which every kind must have passed.
func (o *overheard) secrets(t *testing.T) (all []secret) {
	t.Helper()
	for _, what := range []string{"state", "nonce", "code", "code_verifier", "id_token", "access_token", "refresh_token", "cookie"} {
		if len(o.values["the "+what]) == 0 {
			t.Errorf("no %s passed", what)
		}
	}
	all = append(all, text("the password at the provider", "", idp.Password), text("the client's secret", "", idp.ClientSecret))
	for what, values := range o.values {
		for _, v := range values {
			all = append(all, text(what, "", v))
			if _, signature, ok := strings.Cut(strings.TrimPrefix(v, "ey"), "."); ok && what != "the code" {
				all = append(all, text(what+"'s end", "", signature))
			}
		}
	}
	return all
}
