package coordinator_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/cordonmesh/cordon/coordinator"
	"github.com/cordonmesh/cordon/coordinator/admin"
	"github.com/cordonmesh/cordon/coordinator/internal/store/refresh"
	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/integration/idp"
)

// house is a hospital's provider, which gives each refresh token once, and a
// coordinator whose people it knows.
type house struct {
	*running
	server *httptest.Server
	secret string // file

	mu     sync.Mutex
	left   bool     // its people did
	tokens []string // refresh tokens that it gave
	asked  chan struct{}
	answer chan struct{} // questions wait for it; nil: for nothing
}

// newHouse serves both; its people are asked for every so often.
func newHouse(t *testing.T, every time.Duration) *house {
	t.Helper()
	h := &house{secret: filepath.Join(t.TempDir(), "secret"), asked: make(chan struct{}, 100)}
	h.server = httptest.NewServer(h)
	t.Cleanup(h.server.Close)
	provider := idp.Serve(h.issuer(), "https://127.0.0.1:8443", "ana@clinic.example")
	h.server.Config.Handler = h.around(provider)
	if err := os.WriteFile(h.secret, []byte(idp.ClientSecret), 0o600); err != nil {
		t.Fatal(err)
	}
	h.running = begin(t, h.asks(every))
	return h
}

// ServeHTTP answers nothing: the provider is not there yet.
func (h *house) ServeHTTP(w http.ResponseWriter, r *http.Request) { http.NotFound(w, r) }

func (h *house) issuer() string { return h.server.URL + "/" }

func (h *house) asks(every time.Duration) func(*coordinator.Config) {
	return func(c *coordinator.Config) {
		c.Metrics = "127.0.0.1:0"
		c.SignIn = coordinator.SignIn{Issuer: h.issuer(), ClientID: idp.ClientID, SecretFile: h.secret, Check: every,
			Scopes: []string{"profile", "email", "offline_access"}}
	}
}

// around sees what the provider is asked and what it answers.
func (h *house) around(provider http.Handler) http.Handler {
	given := regexp.MustCompile(`"refresh_token":"([^"]+)"`)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		question := strings.Contains(string(body), "grant_type=refresh_token")
		if question && h.refused(w) {
			return
		}
		seen := httptest.NewRecorder()
		provider.ServeHTTP(seen, r)
		h.mu.Lock()
		for _, m := range given.FindAllStringSubmatch(seen.Body.String(), -1) {
			h.tokens = append(h.tokens, m[1])
		}
		wait := h.answer
		h.mu.Unlock()
		if question {
			h.asked <- struct{}{}
			if wait != nil {
				select {
				case <-wait:
				case <-r.Context().Done():
				}
			}
		}
		for name, values := range seen.Header() {
			w.Header()[name] = values
		}
		w.WriteHeader(seen.Code)
		w.Write(seen.Body.Bytes())
	})
}

func (h *house) refused(w http.ResponseWriter) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.left {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusBadRequest)
		io.WriteString(w, `{"error":"invalid_grant"}`)
	}
	return h.left
}

// signIn has ana sign in at a machine of hers.
func (h *house) signIn() {
	h.t.Helper()
	_, secret := h.token(enrolToken())
	m := h.enrol(secret)
	opened, err := m.BeginLogin(h.t.Context(), connect.NewRequest(&wire.BeginLoginRequest{}))
	if err != nil {
		h.t.Fatal(err)
	}
	if page, err := h.browser().SignIn(opened.Msg.Url, h.issuer(), "ana"); err != nil {
		h.t.Fatalf("%v\n%s", err, page)
	}
	out, err := m.AwaitLogin(h.t.Context(), connect.NewRequest(&wire.AwaitLoginRequest{Login: opened.Msg.Login}))
	if err != nil || out.Msg.State != wire.AwaitLoginResponse_DONE {
		h.t.Fatalf("signed in: %v, %v", out, err)
	}
}

// browser gives a browser that finds the coordinator.
func (h *house) browser() *idp.Browser {
	return idp.NewBrowser(func(ctx context.Context, network, address string) (net.Conn, error) {
		if address == "127.0.0.1:8443" {
			address = h.address
		}
		return new(net.Dialer).DialContext(ctx, network, address)
	})
}

// again serves the same directory once more.
func (h *house) again(change func(*coordinator.Config)) {
	h.t.Helper()
	h.running = h.restarted(change)
}

func (h *house) file() string { return filepath.Join(h.config.StateDir, "refresh.db") }

// rows stops the coordinator and gives what it leaves to ask with.
func (h *house) rows() []refresh.Row {
	h.t.Helper()
	if err := h.stop(); err != nil {
		h.t.Fatal(err)
	}
	f, rows := refresh.Open(refresh.Config{Path: h.file(), Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	f.Close()
	return rows
}

// question waits until the provider is asked.
func (h *house) question() {
	h.t.Helper()
	select {
	case <-h.asked:
	case <-time.After(time.Minute):
		h.t.Fatal("the provider is not asked")
	}
}

func (h *house) eventually(what string, is func() bool) {
	h.t.Helper()
	for deadline := time.Now().Add(time.Minute); !is(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			h.t.Fatalf("never: %s", what)
		}
	}
}

// Who was disabled at the provider while the coordinator was down is found out when it
// serves again, and nothing stays of them.
func TestLeaverIsFoundOutAfterARestart_A18(t *testing.T) {
	h := newHouse(t, time.Hour)
	h.signIn()
	h.eventually("what to ask with is kept", func() bool { return h.measured("cordon_provider_sessions_kept 1") })
	h.again(h.asks(time.Second))
	h.question() // and the provider stands by them
	if len(h.sessions()) != 1 {
		t.Fatal("a restart signed somebody out")
	}
	h.mu.Lock()
	h.left = true
	h.mu.Unlock()
	h.again(nil)
	h.eventually("their session ends", func() bool { return len(h.sessions()) == 0 })
	h.eventually("their row goes", func() bool { return h.measured("cordon_provider_sessions_kept 0") })
	if rows := h.rows(); len(rows) > 0 {
		t.Errorf("%v stand there of somebody who is gone", rows)
	}
}

// So is who operates, and signed in nowhere else.
func TestLeaverWhoOperatesIsFoundOutAfterARestart_A04_A18(t *testing.T) {
	h := newHouse(t, time.Hour)
	h.signIn()
	if err := second(h.root.GrantRole(t.Context(), connect.NewRequest(&admin.GrantRoleRequest{User: "ana@clinic.example", Role: "auditor"}))); err != nil {
		t.Fatal(err)
	}
	opened := h.beginsLogin()
	page, err := h.browser().SignIn(opened.Url, h.issuer(), "ana")
	if err != nil {
		t.Fatalf("%v\n%s", err, page)
	}
	if err := second(h.root.EndSession(t.Context(), connect.NewRequest(&admin.EndSessionRequest{Id: h.sessions()[0].Id}))); err != nil {
		t.Fatal(err)
	}
	h.finishesLogin(opened, page)
	h.eventually("what to ask with is kept", func() bool { return h.measured("cordon_provider_sessions_kept 2") })
	operates := func() bool {
		req := connect.NewRequest(new(admin.WhoAmIRequest))
		req.Header().Set("Authorization", "Bearer "+loginSecret)
		return second(admin.NewAdminServiceClient(h.operator(admin.ServerName), "https://"+h.address).WhoAmI(t.Context(), req)) == nil
	}
	h.again(h.asks(time.Second))
	h.question()
	if !operates() {
		t.Fatal("a restart signed somebody out who operates")
	}
	h.mu.Lock()
	h.left = true
	h.mu.Unlock()
	h.again(nil)
	h.eventually("they operate no more", func() bool { return !operates() })
}

// A coordinator that is killed between the provider's answer and its own write has only
// a token that was spent: the provider refuses it, and nobody is signed out for that.
func TestCrashInAQuestionSignsNobodyOut(t *testing.T) {
	h := newHouse(t, time.Hour)
	h.signIn()
	h.answer = make(chan struct{})
	h.again(h.asks(time.Second))
	h.question()
	crashed := h.config
	crashed.StateDir = filepath.Join(filepath.Dir(h.config.StateDir), "crashed")
	copyFolder(t, crashed.StateDir, h.config.StateDir)
	close(h.answer)
	founded := h.founded
	if err := h.stop(); err != nil {
		t.Fatal(err)
	}
	h.running = serve(t, crashed)
	h.founded = founded
	const said = "the provider's refusal of a person is not clear, and ends no session: they are asked for again from their next sign-in"
	h.eventually("the refusal is told", func() bool { return len(h.log.with(said)) > 0 })
	if len(h.sessions()) != 1 {
		t.Error("somebody was signed out for a crash of ours")
	}
	if rows := h.rows(); len(rows) > 0 {
		t.Errorf("%v stand there to ask with again", rows)
	}
}

// copyFolder copies what a crash at this moment would leave.
func copyFolder(t *testing.T, to, from string) {
	t.Helper()
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		target := filepath.Join(to, strings.TrimPrefix(path, from))
		if d.IsDir() {
			return os.Mkdir(target, 0o700)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(target, b, 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Refresh tokens are in a file of their owner's alone, which none can read without the
// client's secret, and in no backup, log, journal or answer.
func TestRefreshTokensAreInNoBackup_A44_A58(t *testing.T) {
	h := newHouse(t, time.Second)
	h.signIn()
	h.question()
	h.eventually("what to ask with is kept", func() bool { return h.measured("cordon_provider_sessions_kept 1") })
	if info, err := os.Stat(h.file()); runtime.GOOS != "windows" && (err != nil || info.Mode().Perm() != 0o600) {
		t.Errorf("%v, %v", info, err)
	}
	var sealed bytes.Buffer
	if err := second(h.root.CopyBackup(t.Context(), &sealed)); err != nil {
		t.Fatal(err)
	}
	records, err := h.root.ListAudit(t.Context(), connect.NewRequest(&admin.ListAuditRequest{Limit: 1000}))
	if err != nil {
		t.Fatal(err)
	}
	told, _ := json.Marshal([]any{h.sessions(), h.status(), records.Msg})
	rows := h.rows()
	if len(rows) != 1 {
		t.Fatalf("%d rows", len(rows))
	}
	restored := filepath.Join(t.TempDir(), "restored")
	backup := sealed.Bytes()
	if err := coordinator.Restore(t.Context(), restored, h.founded.Recovery, &sealed, "test"); err != nil {
		t.Fatal(err)
	}
	h.mu.Lock()
	tokens := h.tokens
	h.mu.Unlock()
	if len(tokens) < 2 {
		t.Fatalf("%d tokens", len(tokens))
	}
	h.log.mu.Lock()
	said := h.log.b.String()
	h.log.mu.Unlock()
	holds := func(what, text string, secrets ...string) {
		t.Helper()
		for _, s := range secrets {
			if strings.Contains(text, s) {
				t.Errorf("%s holds what it must not: %.20q", what, s)
			}
		}
	}
	tokens = append(tokens, idp.ClientSecret)
	mine := append(tokens, "refresh.db", string(rows[0].Sealed), string(rows[0].Sealed[24:56]))
	holds("the log", said, mine...)
	holds("what operators are told", string(told), mine...)
	holds("the backup", string(backup), mine...)
	eachFile(t, restored, func(name, text string) { holds("restored: "+name, name+text, mine...) })
	eachFile(t, h.config.StateDir, func(name, text string) { holds("the state directory: "+name, text, tokens...) })
}

func eachFile(t *testing.T, folder string, see func(name, text string)) {
	t.Helper()
	seen := 0
	err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		seen++
		b, err := os.ReadFile(path)
		see(filepath.Base(path), string(b))
		return err
	})
	if err != nil || seen < 5 {
		t.Errorf("%d files, %v", seen, err)
	}
}

// What cannot be opened, or is of no use to who starts, goes, and nobody with it.
func TestRefreshTokensThatAreOfNoUse(t *testing.T) {
	h := newHouse(t, time.Hour)
	h.signIn()
	const closed = "refresh tokens on the disk cannot be opened, as after a change of the client's secret: their people are asked for again from their next sign-in"
	const damaged = "the file of refresh tokens cannot be used and is begun anew: people are asked for again from their next sign-in"
	if rows := h.rows(); len(rows) != 1 {
		t.Fatalf("%d rows", len(rows))
	}
	whole, err := os.ReadFile(h.file())
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		secret, said string
		change       func(*coordinator.Config)
		stays        bool // the file, which is made anew when there is something to keep
	}{
		"another secret":  {"rotated", closed, nil, true},
		"a damaged file":  {idp.ClientSecret, damaged, func(*coordinator.Config) { h.spoil() }, false},
		"nobody is asked": {idp.ClientSecret, "", func(c *coordinator.Config) { c.SignIn.Check = -1 }, false},
		"a public client": {"", "", func(c *coordinator.Config) { c.SignIn.SecretFile = "" }, false},
		"no provider":     {"", "", func(c *coordinator.Config) { c.SignIn = coordinator.SignIn{} }, false},
	} {
		if err := os.WriteFile(h.file(), whole, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(h.secret, []byte(c.secret), 0o600); err != nil {
			t.Fatal(err)
		}
		h.again(func(config *coordinator.Config) {
			h.asks(time.Hour)(config)
			if c.change != nil {
				c.change(config)
			}
		})
		if len(h.sessions()) != 1 {
			t.Errorf("%s: a session ended", name)
		}
		if said := h.log.with(c.said); c.said != "" && len(said) != 1 {
			t.Errorf("%s: the log says it %d times", name, len(said))
		}
		if err := h.stop(); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(h.file()); (err == nil) != c.stays {
			t.Errorf("%s: the file: %v", name, err)
		}
		if rows := h.rows(); len(rows) > 0 {
			t.Errorf("%s: %d rows", name, len(rows))
		}
		if err := refresh.Remove(h.file()); err != nil {
			t.Fatal(err)
		}
	}
}

// spoil writes something else in the place of the file.
func (h *house) spoil() {
	if err := os.WriteFile(h.file(), []byte("no database"), 0o600); err != nil {
		h.t.Error(err)
	}
}
