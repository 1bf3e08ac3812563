package main

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/cmd/internal/usage"
	"github.com/cordonmesh/cordon/node/local"
)

// desk is a daemon that gives prepared answers, and writes down what it is asked.
type desk struct {
	socket  string
	answers map[string]any // by path; a *local.Problem is a refusal, a func() is called and nothing answered

	answer func() any // to everything, if it is set

	mu    sync.Mutex
	asked []string
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	dir, err := os.MkdirTemp("", "cordon-desk-") // short: a socket's path has a hundred bytes
	if err != nil {
		t.Fatal(err)
	}
	d := &desk{socket: filepath.Join(dir, "s"), answers: map[string]any{}}
	l, err := net.Listen("unix", d.socket)
	if err != nil {
		t.Fatal(err)
	}
	s, done := &http.Server{Handler: d}, make(chan struct{})
	go func() { defer close(done); s.Serve(l) }()
	t.Cleanup(func() { s.Close(); <-done; os.RemoveAll(dir) })
	return d
}

func (d *desk) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	d.mu.Lock()
	d.asked = append(d.asked, r.URL.Path+" "+string(body))
	answer := d.answers[r.URL.Path]
	if d.answer != nil {
		answer = d.answer()
	}
	d.mu.Unlock()
	if wait, ok := answer.(func()); ok {
		wait()
		<-r.Context().Done()
		return
	}
	if _, refused := answer.(*local.Problem); refused {
		w.WriteHeader(http.StatusUnprocessableEntity)
	}
	json.NewEncoder(w).Encode(answer)
}

// said gives what was asked since the last time.
func (d *desk) said() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	text := strings.Join(d.asked, "\n")
	d.asked = nil
	return text
}

// run is the program with its arguments: its exit status and what it printed.
func (d *desk) run(t *testing.T, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var files [2]*os.File
	for i := range files {
		f, err := os.CreateTemp(t.TempDir(), "")
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		files[i] = f
	}
	out, errs := os.Stdout, os.Stderr
	os.Stdout, os.Stderr = files[0], files[1]
	status = usage.Main(app(), append([]string{"cordon", "--socket", d.socket}, args...), nil)
	os.Stdout, os.Stderr = out, errs
	var text [2]string
	for i, f := range files {
		b, err := os.ReadFile(f.Name())
		if err != nil {
			t.Fatal(err)
		}
		text[i] = string(b)
	}
	return status, text[0], text[1]
}

// at is a moment of today, unless the day ends in between.
func at(d time.Duration) time.Time { return time.Now().Add(d).Truncate(time.Second) }

func ada(id string, until time.Duration) local.Session {
	return local.Session{ID: id, User: "ada@clinic.example", At: at(-time.Hour), Until: at(until), AMR: []string{"otp", "pwd"}, ACR: "loa2", Ended: until <= 0}
}

func TestLoginPrintsWhereToGoAndHowItEnded(t *testing.T) {
	d := newDesk(t)
	l := local.Login{ID: "l1", URL: "https://c.example:8443/login/l1", Code: "KITE-7", Until: at(10 * time.Minute)}
	session := ada("s1", 8*time.Hour)
	done := local.LoginOutcome{State: local.LoginDone, Session: &session}
	d.answers[local.PathLogin], d.answers[local.PathAwaitLogin] = l, done
	status, out, errs := d.run(t, "login")
	want := "to sign in, open this address in a browser, here or on a phone, before " + clock(l.Until) + ":\n\n    https://c.example:8443/login/l1\n\n" +
		"go on there only if the page shows this code: KITE-7\n\nada@clinic.example is signed in until " + clock(session.Until) + ", by otp+pwd (loa2)\n"
	if status != 0 || errs != "" || out != want {
		t.Fatalf("status %d\n%s%s, want\n%s", status, out, errs, want)
	}
	if got := d.said(); got != "/v1/login {}\n/v1/login/await {\"id\":\"l1\"}" {
		t.Fatal(got)
	}
	if _, out, _ = d.run(t, "login", "--device-code", "--afresh"); !strings.Contains(out, "and give it this code: KITE-7\n") {
		t.Fatal(out)
	}
	if got := d.said(); !strings.HasPrefix(got, `/v1/login {"deviceCode":true,"afresh":true}`) {
		t.Fatal(got)
	}
	status, out, _ = d.run(t, "login", "--json")
	lines := json.NewDecoder(strings.NewReader(out))
	var opened local.Login
	var ended local.LoginOutcome
	if err := lines.Decode(&opened); err != nil || opened.URL != l.URL || status != 0 {
		t.Fatal(out, err, status)
	}
	if err := lines.Decode(&ended); err != nil || ended.State != local.LoginDone || ended.Session.User != session.User || lines.More() {
		t.Fatal(out, err)
	}
}

// A sign-in that gives no session is a failure, with its reason, for people and
// for scripts.
func TestLoginThatGivesNoSession(t *testing.T) {
	d := newDesk(t)
	d.answers[local.PathLogin] = local.Login{ID: "l1", URL: "https://c.example/x", Until: at(time.Minute)}
	for _, c := range []struct {
		name   string
		answer any
		want   string
	}{
		{"refused", local.LoginOutcome{State: local.LoginRefused, Reason: "disabled\x1b[2J"}, "cordon: the sign-in was refused: disabled?[2J\n"},
		{"expired", local.LoginOutcome{State: local.LoginExpired}, "`cordon login` begins again\n"},
		{"nothing", local.LoginOutcome{}, "is it of another version?\n"},
		{"not told", &local.Problem{Message: "no such sign-in"}, "cordon: no such sign-in\n"},
	} {
		d.answers[local.PathAwaitLogin] = c.answer
		for _, args := range [][]string{{"login"}, {"login", "--json"}} {
			if status, out, errs := d.run(t, args...); status != 1 || !strings.HasSuffix(errs, c.want) || strings.Contains(out, "is signed in") {
				t.Errorf("%s: %v: status %d, %s%s", c.name, args, status, out, errs)
			}
		}
	}
	d.answers[local.PathLogin] = &local.Problem{Message: "nobody can sign in at this coordinator"}
	if status, out, errs := d.run(t, "login"); status != 1 || out != "" || errs != "cordon: nobody can sign in at this coordinator\n" {
		t.Fatal(status, out, errs)
	}
}

// Who stops waiting is told that the sign-in goes on without the tool.
func TestLoginMayBeLeft(t *testing.T) {
	d := newDesk(t)
	l := local.Login{ID: "l1", URL: "https://c.example/x", Until: at(time.Minute)}
	d.answers[local.PathLogin], d.answers[local.PathAwaitLogin] = l, func() {
		self, err := os.FindProcess(os.Getpid())
		if err == nil {
			err = self.Signal(os.Interrupt)
		}
		if err != nil {
			t.Error(err)
		}
	}
	status, _, errs := d.run(t, "login")
	if want := "cordon: stopped waiting; the sign-in can still be finished until " + clock(l.Until) + ": see `cordon whoami`\n"; status != 1 || errs != want {
		t.Fatalf("status %d, %s, want %s", status, errs, want)
	}
}

func TestWhoamiAndSessions(t *testing.T) {
	d := newDesk(t)
	all := local.SessionsResponse{SignIn: true, Sessions: []local.Session{ada("s1", -time.Minute), ada("s2", 2*time.Hour)}}
	d.answers[local.PathSessions] = all
	s := all.Sessions[1]
	if status, out, errs := d.run(t, "whoami"); status != 0 || errs != "" ||
		out != "ada@clinic.example, signed in since "+clock(s.At)+", until "+clock(s.Until)+", by otp+pwd (loa2)\n" {
		t.Fatal(status, out, errs)
	}
	status, out, _ := d.run(t, "sessions")
	lines := strings.Split(out, "\n")
	if status != 0 || len(lines) != 4 || !strings.HasPrefix(lines[1], "s1 ") || !strings.Contains(lines[1], clock(all.Sessions[0].Until)+", ended ") ||
		!strings.HasPrefix(lines[2], "s2 ") || strings.Contains(lines[2], "ended") || !strings.HasSuffix(lines[2], " otp+pwd (loa2)") {
		t.Fatal(out)
	}
	all.Sessions = all.Sessions[:1]
	d.answers[local.PathSessions] = all
	if status, out, errs := d.run(t, "whoami"); status != 1 || out != "" || errs != "cordon: nobody is signed in: `cordon login`\n" {
		t.Fatal(status, out, errs)
	}
	var told local.SessionsResponse
	if status, out, _ := d.run(t, "whoami", "--json"); status != 1 || json.Unmarshal([]byte(out), &told) != nil || told.Sessions == nil || len(told.Sessions) != 0 || !told.SignIn {
		t.Fatal(status, out)
	}
	d.answers[local.PathSessions] = local.SessionsResponse{}
	if status, out, _ := d.run(t, "sessions"); status != 0 || out != "there are no sessions at this machine\n" {
		t.Fatal(status, out)
	}
}

func TestLogout(t *testing.T) {
	d := newDesk(t)
	for _, c := range []struct {
		ended  int
		args   []string
		status int
		want   string
		asked  string
	}{
		{2, []string{"logout"}, 0, "signed out: 2 at this machine\n", "/v1/logout {}"},
		{0, []string{"logout"}, 0, "nobody was signed in\n", "/v1/logout {}"},
		{1, []string{"logout", "s1"}, 0, "signed out: 1 at this machine\n", `/v1/logout {"session":"s1"}`},
		{0, []string{"logout", "s9"}, 1, "cordon: there is no session \"s9\" here: see `cordon sessions`\n", `/v1/logout {"session":"s9"}`},
		{0, []string{"logout", "s1", "s2"}, 1, "cordon: want one SESSION or none: see `cordon logout --help`\n", ""},
	} {
		d.answers[local.PathLogout] = local.LogoutResponse{Ended: c.ended}
		if status, out, errs := d.run(t, c.args...); status != c.status || out+errs != c.want || d.said() != c.asked {
			t.Errorf("%v: status %d, %s%s", c.args, status, out, errs)
		}
	}
}

// Who signed out while the coordinator was away is told so, wherever they look, and
// that it will hear of it.
func TestSignedOutHere(t *testing.T) {
	d := newDesk(t)
	one := ada("s1", 8*time.Hour)
	one.Ended, one.SignedOut = true, true
	d.answers[local.PathLogout] = local.LogoutResponse{Ended: 1, Away: true}
	d.answers[local.PathSessions] = local.SessionsResponse{SignIn: true, SignedOut: true, Sessions: []local.Session{one}}
	d.answers[local.PathStatus] = local.Status{State: local.StateRunning, Name: "ward", SignIn: true, SignedOut: true, Sessions: []local.Session{one}}
	for command, want := range map[string]struct {
		status int
		text   string
	}{
		"logout":   {0, "signed out here: 1; the coordinator is told when it can be reached\n"},
		"whoami":   {1, "ada@clinic.example signed out here; the coordinator is told when it can be reached\ncordon: nobody is signed in: `cordon login`\n"},
		"sessions": {0, clock(one.Until) + ", signed out here; the coordinator is told when it can be reached  otp+pwd (loa2)\n"},
		"status":   {0, "\nnobody is signed in: `cordon login`\nada@clinic.example signed out here; the coordinator is told when it can be reached\n"},
	} {
		if status, out, errs := d.run(t, command); status != want.status || !strings.Contains(out+errs, want.text) {
			t.Errorf("%s: status %d, %s%s", command, status, out, errs)
		}
	}
}

// Up and status say that nobody is signed in, and how that is done; up does not
// wait for it.
func TestUpAndStatusTellOfPeople(t *testing.T) {
	d := newDesk(t)
	s := local.Status{State: local.StateRunning, Name: "ward", SignIn: true, SignedOut: true, Map: local.MapStatus{PolicyTime: time.Now()}}
	d.answers[local.PathStatus], d.answers[local.PathUp] = s, s
	for _, command := range []string{"up", "status"} {
		if status, out, errs := d.run(t, command); status != 0 || !strings.Contains(out, "\nnobody is signed in: `cordon login`\n") {
			t.Errorf("%s: %d, %s%s", command, status, out, errs)
		}
	}
	s.SignedOut, s.Sessions = false, []local.Session{ada("s1", -time.Minute), ada("s2", 9*time.Minute+30*time.Second)}
	s.Login = &local.Login{ID: "l1", URL: "https://c.example/login/l1", Until: at(5 * time.Minute)}
	d.answers[local.PathStatus] = s
	_, out, _ := d.run(t, "status")
	for _, want := range []string{
		"\nada@clinic.example is signed in until " + clock(s.Sessions[1].Until) + ", by otp+pwd (loa2)\n",
		"\na sign-in waits for a browser until " + clock(s.Login.Until) + ": https://c.example/login/l1\n",
		"\nends in 9 min: the session of ada@clinic.example: `cordon login`",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	if strings.Contains(out, "nobody is signed in") || strings.Count(out, "is signed in until") != 1 {
		t.Error(out)
	}
}

func TestSessionEndings(t *testing.T) {
	now := time.Date(2026, 11, 23, 14, 0, 0, 0, time.Local)
	ends := func(user string, d time.Duration) local.Session {
		return local.Session{User: user, Until: now.Add(d), Ended: d <= 0}
	}
	for _, c := range []struct {
		name string
		all  []local.Session
		want string
	}{
		{"nobody", nil, ""},
		{"far off", []local.Session{ends("ada", 10*time.Minute+time.Second)}, ""},
		{"ten minutes", []local.Session{ends("ada", 10*time.Minute)}, "ends in 10 min: the session of ada: `cordon login` before that, and nothing is cut off\n"},
		{"two minutes", []local.Session{ends("ada", 2*time.Minute)}, "ends in 2 min: the session of ada, and what is open by it: save your work, then `cordon login`\n"},
		{"a second", []local.Session{ends("a\nb", time.Second)}, "ends in 1 s: the session of a?b, and what is open by it: save your work, then `cordon login`\n"},
		{"ended", []local.Session{ends("ada", 0)}, ""},
		{"signed in anew", []local.Session{ends("ada", time.Minute), ends("ada", 8*time.Hour)}, ""},
		{"two people", []local.Session{ends("bo", 5*time.Minute), ends("ada", 8*time.Hour)}, "ends in 5 min: the session of bo: `cordon login` before that, and nothing is cut off\n"},
	} {
		if got := endingsText(&local.Status{Map: local.MapStatus{PolicyTime: now}, Sessions: c.all}); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

// A refusal says what to do, where something can be done.
func TestRefusalsSayWhatToDo(t *testing.T) {
	d := newDesk(t)
	s := local.Status{State: local.StateRunning, Name: "ward", Refusals: []local.Refusal{
		{Outbound: true, Protocol: "tcp", Reason: "a login or fact has ended", Rule: "web", Needs: []string{"mfa:within=8h0m0s", "posture:x\n", local.FactSignedIn}},
		{Protocol: "tcp", Reason: "a login or fact has ended", Rule: "in", Needs: []string{local.FactSignedIn, "mfa"}},
		{Outbound: true, Protocol: "tcp", Reason: "a login or fact has ended", Rule: "away", Needs: []string{"session:idle=10m0s"}},
		{Outbound: true, Protocol: "tcp", Reason: "a login or fact has ended", Rule: "vault", Needs: []string{"mfa:amr=hwk:acr=urn:clinic:gold"}},
		{Protocol: "tcp", Reason: "no rule allows it", Rule: "none"},
	}}
	d.answers[local.PathStatus] = s
	_, out, errs := d.run(t, "status")
	for _, want := range []string{
		"a login or fact has ended (rule web): it needs mfa:within=8h0m0s: `cordon login --afresh`; it needs posture:x?; sign in first: `cordon login`\n",
		"a login or fact has ended (rule in): nobody is signed in there; it needs mfa there\n",
		"a login or fact has ended (rule away): it needs session:idle=10m0s: `cordon login --afresh`\n",
		"a login or fact has ended (rule vault): it needs mfa:amr=hwk:acr=urn:clinic:gold: `cordon login --afresh --acr urn:clinic:gold`\n",
		"no rule allows it (rule none)\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s%s", want, out, errs)
		}
	}
	own := netip.MustParseAddr("100.64.0.1")
	s.Addresses, s.Login = []netip.Addr{own}, &local.Login{ID: "l1", URL: "https://c.example/login/l1", Code: "WDJB-MJHT", Until: at(time.Minute)}
	s.Refusals = []local.Refusal{
		{Outbound: true, Src: netip.AddrPortFrom(own, 1), Reason: "ended", Rule: "web", Needs: []string{"mfa:within=1h0m0s", local.FactSignedIn}},
		{Outbound: true, Src: netip.AddrPortFrom(own, 1), Reason: "ended", Rule: "vault", Needs: []string{"mfa:acr=gold"}}, // for which the link does not ask
		{Outbound: true, Src: netip.MustParseAddrPort("10.0.0.7:1"), Reason: "ended", Rule: "behind", Needs: []string{local.FactSignedIn}},
		{Outbound: true, Src: netip.AddrPortFrom(own, 1), Reason: "ended", Rule: "more", Needs: []string{"posture:x", local.FactSignedIn}},
	}
	d.answers[local.PathStatus] = s
	d.said()
	_, out, errs = d.run(t, "status")
	for _, want := range []string{
		"ended (rule web): it needs mfa:within=1h0m0s and signed-in: to go on, open https://c.example/login/l1 (code WDJB-MJHT)\n",
		"ended (rule vault): it needs mfa:acr=gold: `cordon login --afresh --acr gold`\n",
		"ended (rule behind): sign in first: `cordon login`\n",
		"ended (rule more): it needs posture:x; sign in first: `cordon login`\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s%s", want, out, errs)
		}
	}
	if got := d.said(); got != `/v1/status {"stepUp":true}` {
		t.Errorf("asked %s", got)
	}
	e := local.ExplainResponse{Outbound: true, Reason: "a login or fact has ended", Rule: "web", Src: "this node", Dst: "ehr", Needs: []string{local.FactSignedIn}}
	d.answers[local.PathExplain] = e
	if _, out, _ := d.run(t, "explain", "ehr:443"); out != "refused: this node to ehr on tcp/443: a login or fact has ended, rule web\nsign in first: `cordon login`\n" {
		t.Error(out)
	}
}
