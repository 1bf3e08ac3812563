package signin_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/cordonmesh/cordon/coordinator/internal/auth/signin"
	"github.com/cordonmesh/cordon/coordinator/internal/registry"
	"github.com/cordonmesh/cordon/coordinator/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const self = "https://mesh.example:443"

// ward is where nodes are, as a listener for both families writes it.
func ward() netip.Addr { return netip.MustParseAddr("::ffff:198.51.100.7") }

// hall is a desk with a provider, two nodes and browsers around it.
type hall struct {
	t        testing.TB
	desk     *signin.Desk
	provider *provider
	alone    func() // takes the provider away, where there are people of the coordinator's own
	refuse   error  // of Begin and of Operator
	stall    bool   // of Begin: it takes for ever
	unjudged bool   // pages are many, and the same as elsewhere
	joiner   registry.Machine

	mu      sync.Mutex
	nodes   map[string]signin.Node
	begun   []string // node and subject, and the seat if there is one
	joined  []string // name and subject
	held    []string // by which a provider could be asked on, that nobody took over
	given   int      // of these, so far
	log     bytes.Buffer
	private []string // may be in no log, and in no page
}

// within runs a test in virtual time, with a hall.
func within(t *testing.T, test func(t *testing.T, h *hall)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		h := newHall(t)
		test(t, h)
		h.noSecrets()
	})
}

func newHall(t testing.TB) *hall {
	h := &hall{t: t, provider: &provider{}, nodes: map[string]signin.Node{
		"n1": {ID: "n1", Name: "ward-3", OS: "linux", Fingerprint: strings.Repeat("ab12", 16), User: "ana@clinic.example"},
		"n2": {ID: "n2", Name: "kiosk", OS: "windows", Fingerprint: strings.Repeat("cd34", 16), Tags: []string{"tag:kiosk"}},
	}}
	desk, err := signin.New(signin.Config{URL: self, Provider: h.provider, Node: h.node, Begin: h.begin, Join: h.join, Operator: h.operator, Release: h.take,
		Log: slog.New(slog.NewJSONHandler(&locked{h: h}, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	if err != nil {
		t.Fatal(err)
	}
	h.desk, h.provider.stand = desk, h.stand
	return h
}

type locked struct{ h *hall }

func (l *locked) Write(p []byte) (int, error) {
	l.h.mu.Lock()
	defer l.h.mu.Unlock()
	return l.h.log.Write(p)
}

func (h *hall) node(id string) (signin.Node, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	n, ok := h.nodes[id]
	return n, ok
}

func (h *hall) setNode(n signin.Node) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.nodes[n.ID] = n
}

// stand gives what a proof brings besides.
func (h *hall) stand() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.given++
	h.held = append(h.held, fmt.Sprint("standing-", h.given))
	return h.held[len(h.held)-1]
}

// take has something be somebody's, or be let go; either once. People of the
// coordinator's own bring nothing.
func (h *hall) take(standing string) {
	if standing == "" {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	i := slices.Index(h.held, standing)
	if i < 0 {
		h.t.Errorf("%q is taken or let go twice", standing)
		return
	}
	h.held = slices.Delete(h.held, i, i+1)
}

// holds tells how many proofs were given so far, and for how many of them nobody has
// seen to what they brought.
func (h *hall) holds(given, held int) {
	h.t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.given != given || len(h.held) != held {
		h.t.Errorf("of %d proofs, want %d, %d are left over, want %d", h.given, given, len(h.held), held)
	}
}

func (h *hall) begin(ctx context.Context, node, seat string, who registry.Identity) (wire.Session, error) {
	h.take(who.Standing)
	if h.stall {
		<-ctx.Done()
		return wire.Session{}, ctx.Err()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.refuse != nil {
		return wire.Session{}, h.refuse
	}
	h.begun = append(h.begun, strings.TrimSpace(node+" "+who.Subject+" "+seat))
	return wire.Session{ID: "session-" + node, User: who.Login, At: time.Now(), Until: time.Now().Add(12 * time.Hour), Seat: seat}, nil
}

func (h *hall) operator(registry.Identity) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.refuse
}

func (h *hall) sessions() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.begun)
}

func (h *hall) logged() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.log.String()
}

// hide notes a secret, of which noSecrets finds traces.
func (h *hall) hide(secret string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.private = append(h.private, secret)
}

func (h *hall) noSecrets() {
	h.t.Helper()
	log := h.logged()
	for _, s := range append(h.private, h.provider.secrets()...) {
		if strings.Contains(log, s) {
			h.t.Errorf("the log holds a secret, %s:\n%s", s, log)
		}
	}
}

func (h *hall) open(node string) signin.Opened {
	h.t.Helper()
	o, err := h.desk.Open(h.t.Context(), node, ward(), signin.Request{})
	if err != nil {
		h.t.Fatal(err)
	}
	h.hide(o.ID)
	return o
}

// outcome is what a node is told now; the sign-in must have ended, or be another's.
func (h *hall) outcome(node, id string) signin.Outcome {
	h.t.Helper()
	o, err := h.desk.Await(h.t.Context(), node, id)
	if err != nil {
		h.t.Error(err)
	}
	return o
}

// provider plays the provider: it knows the codes "ana" and "eve".
type provider struct {
	mu        sync.Mutex
	attempts  []signin.Attempt
	redeemed  []signin.Attempt
	codes     []string
	failing   error         // of AuthURL and BeginGrant
	address   string        // of AuthURL; the usual one if empty
	hold      chan struct{} // Redeem waits for it; nil: it doesn't
	spill     bool          // errors hold secrets
	deaf      bool          // grants wait for the person, whatever their context says
	waiting   int           // grants that are redeemed
	until     time.Time     // of grants
	meanwhile func()        // runs while the provider thinks
	agree     chan error
	acr       string        // of its proofs
	below     error         // of Redeem
	since     []time.Time   // of the proofs that grants must bring
	stand     func() string // gives what a proof brings besides
}

func (p *provider) AuthURL(_ context.Context, a signin.Attempt) (string, error) {
	if p.meanwhile != nil {
		p.meanwhile()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.attempts = append(p.attempts, a)
	if p.failing != nil && p.spill {
		return "", fmt.Errorf("no answer to verifier=%s nonce=%s state=%s", a.Verifier, a.Nonce, a.State)
	}
	if p.failing != nil {
		return "", p.failing
	}
	if p.address != "" {
		return p.address, nil
	}
	return "https://idp.example/authorize?scope=openid&state=" + a.State, nil
}

func (p *provider) Redeem(ctx context.Context, code string, a signin.Attempt) (registry.Identity, error) {
	if p.hold != nil {
		select {
		case <-p.hold:
		case <-ctx.Done():
			return registry.Identity{}, ctx.Err()
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.redeemed, p.codes = append(p.redeemed, a), append(p.codes, code)
	if p.spill {
		return registry.Identity{}, fmt.Errorf("no answer to code=%s verifier=%s nonce=%s state=%s", code, a.Verifier, a.Nonce, a.State)
	}
	if code != "code-ana" && code != "code-eve" {
		return registry.Identity{}, errors.New("the provider does not know that code")
	}
	if p.below != nil {
		return registry.Identity{}, p.below
	}
	name := strings.TrimPrefix(code, "code-")
	return registry.Identity{Issuer: "https://idp.example", Subject: name, Login: name + "@clinic.example", ACR: p.acr, Standing: p.stand()}, nil
}

func (p *provider) BeginGrant(_ context.Context, since time.Time) (signin.Grant, error) {
	if p.meanwhile != nil {
		p.meanwhile()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.failing != nil {
		return signin.Grant{}, p.failing
	}
	p.since = append(p.since, since)
	agree := p.agree
	return signin.Grant{URL: "https://idp.example/device", Code: "WDJB-MJHT", Until: p.until, Redeem: func(ctx context.Context) (registry.Identity, error) {
		p.count(1)
		defer p.count(-1)
		select {
		case err := <-agree:
			return p.agreed(err)
		case <-ctx.Done():
		}
		if time.Sleep(time.Second); p.deaf {
			return p.agreed(<-agree)
		}
		return registry.Identity{}, ctx.Err()
	}}, nil
}

// agreed gives the proof of a grant, if there is no error.
func (p *provider) agreed(err error) (registry.Identity, error) {
	if err != nil {
		return registry.Identity{}, err
	}
	return registry.Identity{Issuer: "https://idp.example", Subject: "ana", Login: "ana@clinic.example", Standing: p.stand()}, nil
}

// count counts the grants that are redeemed, and gives how many these are now.
func (p *provider) count(n int) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.waiting += n
	return p.waiting
}

func (p *provider) last() signin.Attempt {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.attempts[len(p.attempts)-1]
}

func (p *provider) asked() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.redeemed)
}

func (p *provider) secrets() (all []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, a := range p.attempts {
		all = append(all, a.State, a.Nonce, a.Verifier)
	}
	return append(all, "code-ana", "code-eve")
}

// browser keeps cookies as a browser does.
type browser struct {
	h    *hall
	from string
	jar  map[string]string
	send http.Header // with each request
	ctx  context.Context
}

func (h *hall) browser() *browser {
	return &browser{h: h, from: "192.0.2.9:50000", jar: map[string]string{}, send: http.Header{}, ctx: context.Background()}
}

type answer struct {
	*httptest.ResponseRecorder
	body string
}

func (b *browser) do(method, target, body string) answer {
	b.h.t.Helper()
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	r.RemoteAddr = b.from
	for k, v := range b.send {
		r.Header[k] = v
	}
	if body != "" && r.Header.Get("Content-Type") == "" {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for name, value := range b.jar {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	w := httptest.NewRecorder()
	b.h.desk.ServeHTTP(w, r.WithContext(b.ctx))
	for _, c := range w.Result().Cookies() {
		b.jar[c.Name] = c.Value
		b.h.hide(c.Value)
	}
	a := answer{w, w.Body.String()}
	b.h.checkAnswer(a)
	return a
}

func (b *browser) get(target string) answer { b.h.t.Helper(); return b.do(http.MethodGet, target, "") }

// token finds the form's token in a page.
func token(page string) string {
	if m := regexp.MustCompile(`name="form" value="([^"]+)"`).FindStringSubmatch(page); m != nil {
		return m[1]
	}
	return ""
}

func (b *browser) submit(id, token, step string) answer {
	b.h.t.Helper()
	return b.do(http.MethodPost, "/login/"+id, url.Values{"form": {token}, "step": {step}}.Encode())
}

// leave opens a sign-in and goes to the provider; it gives the state.
func (b *browser) leave(id string) string {
	b.h.t.Helper()
	page := b.get("/login/" + id)
	if page.Code != http.StatusOK || token(page.body) == "" {
		b.h.t.Fatalf("the page is %d:\n%s", page.Code, page.body)
	}
	if a := b.submit(id, token(page.body), "continue"); a.Code != http.StatusOK {
		b.h.t.Fatalf("leaving is answered %d:\n%s", a.Code, a.body)
	}
	return b.h.provider.last().State
}

// back comes from the provider, and follows to the page that tells the end.
func (b *browser) back(state, code string) answer {
	b.h.t.Helper()
	a := b.get("/login/callback?" + url.Values{"state": {state}, "code": {code}}.Encode())
	if a.Code == http.StatusSeeOther {
		return b.get(a.Header().Get("Location"))
	}
	return a
}

func (h *hall) says(a answer, code int, words string) {
	h.t.Helper()
	if a.Code != code || !strings.Contains(a.body, words) {
		h.t.Errorf("answered %d, want %d and %q:\n%s", a.Code, code, words, main(a.body))
	}
}

// main is what a page says.
func main(page string) string {
	if _, rest, ok := strings.Cut(page, "<main>"); ok {
		return rest
	}
	return page
}
