package coordinator_test

import (
	"context"
	"encoding/json"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/pquerna/otp/totp"

	"github.com/cordonmesh/cordon/coordinator"
	"github.com/cordonmesh/cordon/coordinator/admin"
	"github.com/cordonmesh/cordon/coordinator/wire"
)

const phrase = "correct horse battery staple"

// ownPeople lets people sign in whom the coordinator knows by itself.
func ownPeople(at *clock) func(*coordinator.Config) {
	return func(c *coordinator.Config) {
		c.SignIn, c.Metrics, c.Now = coordinator.SignIn{Local: true, PasswordMemory: 12}, "127.0.0.1:0", at.Now
	}
}

// browser is a person's: it keeps cookies, follows, and knows the codes of their app.
type browser struct {
	r      *running
	at     *clock
	http   *http.Client
	secret string
	page   string // shown last
}

func (r *running) browser(at *clock) *browser {
	jar, err := cookiejar.New(nil)
	if err != nil {
		r.t.Fatal(err)
	}
	c := r.operator("portal.example")
	c.Jar = jar
	return &browser{r: r, at: at, http: c}
}

// moved is the same person at a coordinator that started again.
func (b *browser) moved(to *running) *browser {
	next := to.browser(b.at)
	next.secret = b.secret
	return next
}

// here leads an address of the coordinator's URL to where the test has it.
func (b *browser) here(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		b.r.t.Fatal(err)
	}
	u.Scheme, u.Host = "https", b.r.address
	return u.String()
}

func (b *browser) open(address string) int {
	b.r.t.Helper()
	return b.read(b.http.Get(b.here(address)))
}

// send fills in the page's form and sends it.
func (b *browser) send(address string, fields url.Values) int {
	b.r.t.Helper()
	if m := regexp.MustCompile(`name="form" value="([^"]+)"`).FindStringSubmatch(b.page); m != nil {
		fields.Set("form", m[1])
	}
	return b.read(b.http.PostForm(b.here(address), fields))
}

func (b *browser) read(resp *http.Response, err error) int {
	b.r.t.Helper()
	if err != nil {
		b.r.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		b.r.t.Fatal(err)
	}
	b.page = html.UnescapeString(string(text))
	return resp.StatusCode
}

// code is what the app shows now.
func (b *browser) code() string {
	b.r.t.Helper()
	code, err := totp.GenerateCode(b.secret, b.at.Now())
	if err != nil {
		b.r.t.Fatal(err)
	}
	return code
}

// setUp opens a link and sets up password and codes; the code that shows that is spent.
func (b *browser) setUp(link string) {
	b.r.t.Helper()
	if status := b.open(link); status != http.StatusOK {
		b.r.t.Fatalf("the link: %d\n%s", status, b.page)
	}
	b.open(link + "/password")
	m := regexp.MustCompile(`class="code key">([A-Z2-7 ]+)<`).FindStringSubmatch(b.page)
	if m == nil {
		b.r.t.Fatalf("no key on the page:\n%s", b.page)
	}
	b.secret = strings.ReplaceAll(m[1], " ", "")
	if status := b.send(link+"/password", url.Values{"password": {phrase}, "again": {phrase}, "code": {b.code()}}); status != http.StatusOK || !strings.Contains(b.page, "You are set up") {
		b.r.t.Fatalf("set up: %d\n%s", status, b.page)
	}
}

// signIn leads a sign-in of a machine to its end, and gives what became of it.
func (b *browser) signIn(m *machine, code string) *wire.AwaitLoginResponse {
	b.r.t.Helper()
	return b.sit(m, "", code)
}

// sit is signIn at a seat.
func (b *browser) sit(m *machine, seat, code string) *wire.AwaitLoginResponse {
	b.r.t.Helper()
	opened, err := m.BeginLogin(b.r.t.Context(), connect.NewRequest(&wire.BeginLoginRequest{Afresh: true, Seat: seat}))
	if err != nil {
		b.r.t.Fatal(err)
	}
	b.open(opened.Msg.Url)
	b.send(opened.Msg.Url, url.Values{"step": {"password"}})
	b.send(opened.Msg.Url, url.Values{"step": {"proof"}, "login": {"ana@clinic.example"}, "password": {phrase}, "code": {code}})
	if strings.Contains(b.page, "Not accepted") {
		return nil
	}
	out, err := m.AwaitLogin(b.r.t.Context(), connect.NewRequest(&wire.AwaitLoginRequest{Login: opened.Msg.Login}))
	if err != nil {
		b.r.t.Fatal(err)
	}
	return out.Msg
}

func (r *running) addAna() *admin.AddUserResponse {
	r.t.Helper()
	resp, err := r.root.AddUser(r.t.Context(), connect.NewRequest(&admin.AddUserRequest{Login: "ana@clinic.example", Name: "Dr. Ana", Groups: []string{"Doctors"}}))
	if err != nil {
		r.t.Fatal(err)
	}
	return resp.Msg
}

func (r *running) ana() *admin.User {
	r.t.Helper()
	resp, err := r.root.ListUsers(r.t.Context(), connect.NewRequest(new(admin.ListUsersRequest)))
	if err != nil {
		r.t.Fatal(err)
	}
	if len(resp.Msg.Users) != 1 {
		r.t.Fatalf("users are %v", resp.Msg.Users)
	}
	return resp.Msg.Users[0]
}

// A clinic without a provider, from the link to the session and through a restart; and
// nothing of it is in log, audit or the admin API.
func TestLocalPersonSignsIn_A22_A44(t *testing.T) {
	at := &clock{now: time.Now()}
	r := begin(t, ownPeople(at))
	_, secret := r.token(enrolToken())
	m, b := r.enrol(secret), r.browser(at)
	added := r.addAna()
	if u := r.ana(); !slices.Equal(u.Proves, []string{"link"}) || u.Issuer != "cordon:local" || !slices.Equal(u.Groups, []string{"local:Doctors"}) {
		t.Errorf("added %v", u)
	}
	b.setUp(added.Link)
	if status := b.open(added.Link); status != http.StatusNotFound || !strings.Contains(b.page, "This link works no more") {
		t.Errorf("a spent link: %d", status)
	}
	if u := r.ana(); !slices.Equal(u.Proves, []string{"password"}) {
		t.Errorf("set up: %v", u)
	}
	for _, code := range []string{b.code(), "000000"} {
		if out := b.signIn(m, code); out != nil || !strings.Contains(b.page, "do not belong together") || strings.Contains(b.page, phrase) {
			t.Fatalf("with a wrong code, or one that counted: %v\n%s", out, b.page)
		}
	}
	at.forward(time.Minute)
	code := b.code()
	out := b.signIn(m, code)
	if out.GetState() != wire.AwaitLoginResponse_DONE || out.Session.User != "ana@clinic.example" || !slices.Equal(out.Session.Amr, []string{"mfa", "otp", "pwd"}) || !strings.Contains(b.page, "is signed in") {
		t.Fatalf("signed in: %v\n%s", out, b.page)
	}
	if out := b.signIn(m, code); out != nil {
		t.Errorf("a step-up with the same code: %v", out)
	}
	at.forward(time.Minute)
	if out = b.signIn(m, b.code()); out.GetState() != wire.AwaitLoginResponse_DONE || at.Now().Sub(time.Unix(out.Session.At, 0)) > 50*time.Second {
		t.Errorf("a step-up: %v", out)
	}
	r.keepsSecrets(added.Link, b.secret, code)
	r = r.restarted(nil)
	b, m = b.moved(r), r.again(m)
	if u := r.ana(); !slices.Equal(u.Proves, []string{"password"}) || u.Sessions != 1 {
		t.Errorf("after a restart %v", u)
	}
	if out := b.signIn(m, b.code()); out != nil {
		t.Errorf("a code that counted before the restart: %v", out)
	}
}

// Somebody guesses at a doctor, on several machines: who is on call hears of it at once,
// and finds it in the tool while it lasts.
func TestLockOutIsAnAlarm_A22(t *testing.T) {
	posted := make(chan string, 16)
	hook := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		posted <- string(body)
	}))
	defer hook.Close()
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("a secret of the two\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	at := &clock{now: time.Now()}
	r := begin(t, func(c *coordinator.Config) {
		ownPeople(at)(c)
		c.Warnings = coordinator.Warnings{Webhook: hook.URL, SecretFile: secret}
	})
	r.addAna()
	for range 4 {
		_, enrol := r.token(enrolToken())
		for m, b := r.enrol(enrol), r.browser(at); !strings.Contains(b.page, "too many wrong attempts"); {
			if b.signIn(m, "000000") != nil {
				t.Fatal("proved by a wrong code")
			}
		}
	}
	select {
	case got := <-posted:
		if !strings.Contains(got, "lock-out of ana@clinic.example until ") || !strings.Contains(got, "somebody guesses") {
			t.Errorf("posted %s", got)
		}
	case <-time.After(time.Minute):
		t.Error("nothing is posted")
	}
	standing := func() int {
		resp, err := r.root.ListWarnings(t.Context(), connect.NewRequest(&admin.ListWarningsRequest{}))
		if err != nil {
			t.Fatal(err)
		}
		return len(resp.Msg.Warnings)
	}
	if standing() != 1 {
		t.Error("a lock-out is not among the warnings")
	}
	if at.forward(16 * time.Minute); standing() != 0 {
		t.Error("a lock-out that has ended is among the warnings")
	}
}

// keepsSecrets looks for secrets in log, audit, journal and the admin API.
func (r *running) keepsSecrets(link, secret, code string) {
	r.t.Helper()
	users, err := r.root.ListUsers(r.t.Context(), connect.NewRequest(new(admin.ListUsersRequest)))
	if err != nil {
		r.t.Fatal(err)
	}
	records, err := r.root.ListAudit(r.t.Context(), connect.NewRequest(&admin.ListAuditRequest{Limit: 1000}))
	if err != nil {
		r.t.Fatal(err)
	}
	told, _ := json.Marshal([]any{users.Msg, records.Msg})
	stored := ""
	for _, name := range []string{"cordon.db", "cordon.db-wal"} {
		b, err := os.ReadFile(filepath.Join(r.config.StateDir, name))
		if err != nil && !os.IsNotExist(err) {
			r.t.Fatal(err)
		}
		stored += string(b)
	}
	r.log.mu.Lock()
	said := r.log.b.String()
	r.log.mu.Unlock()
	if !strings.Contains(string(told), "local.set-up") || !strings.Contains(stored, "local-proved") {
		r.t.Error("what happened is not recorded")
	}
	for what, s := range map[string]string{"link": link[strings.LastIndexByte(link, '/')+1:], "key": secret, "code": `"` + code, "password": phrase, "hash": "argon2id"} {
		if strings.Contains(said+string(told)+stored, s) {
			r.t.Errorf("the %s can be read", what)
		}
	}
}

// restarted serves the same state directory again.
func (r *running) restarted(change func(*coordinator.Config)) *running {
	r.t.Helper()
	if err := r.stop(); err != nil {
		r.t.Fatal(err)
	}
	config, founded := r.config, r.founded
	if change != nil {
		change(&config)
	}
	next := serve(r.t, config)
	next.founded = founded
	return next
}

// A reset by an operator ends sessions and voids what there was.
func TestResetOfALocalPerson_A18_A22(t *testing.T) {
	at := &clock{now: time.Now()}
	r := begin(t, ownPeople(at))
	_, secret := r.token(enrolToken())
	m, b := r.enrol(secret), r.browser(at)
	b.setUp(r.addAna().Link)
	at.forward(time.Minute)
	if out := b.signIn(m, b.code()); out.GetState() != wire.AwaitLoginResponse_DONE {
		t.Fatalf("signed in: %v\n%s", out, b.page)
	}
	resp, err := r.root.ResetUser(t.Context(), connect.NewRequest(&admin.ResetUserRequest{User: "ana@clinic.example"}))
	if err != nil || resp.Msg.Ended != 1 || r.ana().Sessions != 0 {
		t.Fatalf("reset: %v, %v", resp, err)
	}
	at.forward(time.Minute)
	if out := b.signIn(m, b.code()); out != nil {
		t.Errorf("with what was reset: %v", out)
	}
	for what, err := range map[string]error{
		"a login that is taken": second(r.root.AddUser(t.Context(), connect.NewRequest(&admin.AddUserRequest{Login: "ANA@clinic.example"}))),
		"a link for ever":       second(r.root.ResetUser(t.Context(), connect.NewRequest(&admin.ResetUserRequest{User: "ana@clinic.example", LinkLife: 1 << 40}))),
		"nobody":                second(r.root.GroupUser(t.Context(), connect.NewRequest(&admin.GroupUserRequest{User: "eve@clinic.example"}))),
	} {
		if err == nil {
			t.Errorf("%s is taken", what)
		}
	}
	if resp, err := r.root.GroupUser(t.Context(), connect.NewRequest(&admin.GroupUserRequest{User: "ana@clinic.example", Groups: []string{"Nurses"}})); err != nil || !slices.Equal(resp.Msg.User.Groups, []string{"local:Nurses"}) {
		t.Errorf("groups: %v, %v", resp, err)
	}
}

func second[T any](_ T, err error) error { return err }

// The key's file is made at the first start and is in the backup; a coordinator that
// misses it does not begin anew.
func TestKeyOfLocalPeople(t *testing.T) {
	at := &clock{now: time.Now()}
	r := begin(t, ownPeople(at))
	path := filepath.Join(r.config.StateDir, "local.key")
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("the key's file: %v, %v", info, err)
	}
	_, secret := r.token(enrolToken())
	m, b := r.enrol(secret), r.browser(at)
	b.setUp(r.addAna().Link)
	sealed := filepath.Join(t.TempDir(), "backup")
	f, err := os.Create(sealed)
	if err != nil {
		t.Fatal(err)
	}
	if err := second(r.root.CopyBackup(t.Context(), f)); err != nil {
		t.Fatal(err)
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	soon, cancel := context.WithTimeout(t.Context(), 20*time.Second) // one that starts would serve for ever
	defer cancel()
	wants(t, coordinator.Run(soon, r.config), "local.key", "1 people", "user reset")
	if err := os.RemoveAll(r.config.StateDir); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	if err := coordinator.Restore(t.Context(), r.config.StateDir, r.founded.Recovery, f, "test"); err != nil {
		t.Fatal(err)
	}
	founded := r.founded
	r = serve(t, r.config)
	r.founded = founded
	b = b.moved(r)
	at.forward(time.Minute)
	if out := b.signIn(r.again(m), b.code()); out.GetState() != wire.AwaitLoginResponse_DONE {
		t.Errorf("after a restore: %v\n%s", out, b.page)
	}
}

// A coordinator that knows nobody by itself has none of the pages, and adds nobody; one
// that does has no door to a provider.
func TestLocalPeopleAreOnByAWord_A07(t *testing.T) {
	at := &clock{now: time.Now()}
	r := begin(t, away)
	if _, err := r.root.AddUser(t.Context(), connect.NewRequest(&admin.AddUserRequest{Login: "ana@clinic.example"})); connect.CodeOf(err) != connect.CodeFailedPrecondition {
		t.Errorf("added: %v", err)
	}
	b := r.browser(at)
	link := "/login/set-up/" + strings.Repeat("A", 26)
	for _, path := range []string{link, link + "/password", "/login/passkey.js"} {
		if status := b.open(path); status != http.StatusNotFound || !strings.Contains(b.page, "No such page") {
			t.Errorf("%s: %d", path, status)
		}
	}
	r = r.restarted(ownPeople(at))
	b = b.moved(r)
	_, secret := r.token(enrolToken())
	m := r.enrol(secret)
	if _, err := m.BeginLogin(t.Context(), connect.NewRequest(&wire.BeginLoginRequest{DeviceCode: true})); err == nil || !strings.Contains(err.Error(), "without --device-code") {
		t.Errorf("a device grant of nobody: %v", err)
	}
	opened, err := m.BeginLogin(t.Context(), connect.NewRequest(&wire.BeginLoginRequest{}))
	if err != nil {
		t.Fatal(err)
	}
	b.open(opened.Msg.Url)
	if strings.Contains(b.page, `value="continue"`) || strings.Contains(b.page, "organisation") || !strings.Contains(b.page, `value="password"`) {
		t.Errorf("the page offers a provider that is not there:\n%s", b.page)
	}
	for _, fields := range []url.Values{{"step": {"continue"}}, {"step": {"passkey"}}, {"step": {"nothing"}}} {
		if status := b.send(opened.Msg.Url, fields); status != http.StatusBadRequest {
			t.Errorf("%v: %d", fields, status)
		}
		b.open(opened.Msg.Url)
	}
	for _, path := range []string{"/login/callback?state=a&code=b", link, link + "/password", link + "/nothing", link + "/passkey"} {
		if status := b.open(path); status != http.StatusNotFound {
			t.Errorf("%s: %d", path, status)
		}
	}
}

func TestProofsAreMeasured(t *testing.T) {
	at := &clock{now: time.Now()}
	r := begin(t, ownPeople(at))
	_, secret := r.token(enrolToken())
	m, b := r.enrol(secret), r.browser(at)
	b.setUp(r.addAna().Link)
	at.forward(time.Minute)
	if b.signIn(m, "000000") != nil || b.signIn(m, b.code()) == nil {
		t.Fatal("signed in as it should not be")
	}
	for _, line := range []string{"cordon_local_proofs_right_total 1", "cordon_local_proofs_wrong_total 1", "cordon_local_proofs_throttled_total 0", "cordon_local_proofs_lockouts_total 0"} {
		if !r.measured(line) {
			t.Errorf("%s is not measured", line)
		}
	}
}

// measured tells whether a line is among the metrics.
func (r *running) measured(line string) bool {
	r.t.Helper()
	resp, err := http.Get("http://" + r.log.with("serving metrics")[0]["listen"].(string) + "/metrics")
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return strings.Contains(string(text), "\n"+line+"\n")
}
