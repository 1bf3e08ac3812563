//go:build unix

package localapi_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"github.com/cordonmesh/cordon/node/internal/localapi"
	"github.com/cordonmesh/cordon/node/local"
)

const helperSocket = "CORDON_TEST_SOCKET"

// nobody is the user and group that the unprivileged caller runs as.
const nobody = 65534

func TestMain(m *testing.M) {
	if socket := os.Getenv(helperSocket); socket != "" {
		walkAsCaller(socket)
		return
	}
	// net/http lingers half a second on a connection whose request was too large.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait"))
}

// walkAsCaller calls every path and prints the status codes: the body of the
// process that runs as nobody.
func walkAsCaller(socket string) {
	for path := range localapi.Roles() {
		fmt.Println(path, statusOf(socket, path, http.MethodPost, nil, "{}"))
	}
}

type fakeDaemon struct {
	calls    []string
	accounts []string // that asked who is signed in
}

func (f *fakeDaemon) Status(context.Context, local.StatusRequest) (*local.Status, error) {
	f.calls = append(f.calls, "status")
	return &local.Status{State: local.StateRunning}, nil
}

func (f *fakeDaemon) Up(_ context.Context, r local.UpRequest) (*local.Status, error) {
	f.calls = append(f.calls, "up "+r.Name)
	return nil, errors.New("the token was spent: ask for another")
}

func (f *fakeDaemon) Down(context.Context) (*local.Status, error) {
	f.calls = append(f.calls, "down")
	return &local.Status{State: local.StateStopped}, nil
}

func (f *fakeDaemon) Ping(context.Context, local.PingRequest) (*local.PingResponse, error) {
	return &local.PingResponse{}, nil
}

func (f *fakeDaemon) Explain(_ context.Context, r local.ExplainRequest) (*local.ExplainResponse, error) {
	return &local.ExplainResponse{Dst: r.Dst}, nil
}

func (f *fakeDaemon) Flows(_ context.Context, r local.FlowsRequest) (*local.FlowsResponse, error) {
	return &local.FlowsResponse{Next: r.From + 1}, nil
}

func (f *fakeDaemon) Netcheck(context.Context) (*local.NetcheckResponse, error) {
	return &local.NetcheckResponse{Findings: []local.Finding{{Topic: "UDP"}}}, nil
}

func (f *fakeDaemon) StockConfig(_ context.Context, r local.StockRequest) (*local.StockResponse, error) {
	return &local.StockResponse{Config: "for " + r.Name}, nil
}

func (f *fakeDaemon) StockReload(context.Context) (*local.StockResponse, error) {
	f.calls = append(f.calls, "reload")
	return &local.StockResponse{Names: []string{"ct-3"}}, nil
}

func (f *fakeDaemon) Join(_ context.Context, r local.JoinRequest) (*local.JoinResponse, error) {
	return &local.JoinResponse{Node: r.URL}, nil
}

func (f *fakeDaemon) AwaitJoin(_ context.Context, r local.AwaitLoginRequest) (*local.LoginOutcome, error) {
	return &local.LoginOutcome{State: local.LoginRefused, Reason: r.ID}, nil
}

func (f *fakeDaemon) Login(_ context.Context, r local.LoginRequest) (*local.Login, error) {
	return &local.Login{ID: fmt.Sprint("l", r.DeviceCode, r.Afresh)}, nil
}

func (f *fakeDaemon) AwaitLogin(_ context.Context, r local.AwaitLoginRequest) (*local.LoginOutcome, error) {
	return &local.LoginOutcome{State: local.LoginRefused, Reason: r.ID}, nil
}

func (f *fakeDaemon) Logout(_ context.Context, r local.LogoutRequest) (*local.LogoutResponse, error) {
	return &local.LogoutResponse{Ended: len(r.Session)}, nil
}

func (f *fakeDaemon) Sessions(ctx context.Context) (*local.SessionsResponse, error) {
	f.accounts = append(f.accounts, localapi.CallerOf(ctx).Account)
	return &local.SessionsResponse{Sessions: []local.Session{{ID: "s1"}}}, nil
}

func serve(t *testing.T) (string, *fakeDaemon) {
	t.Helper()
	dir, err := os.MkdirTemp("", "cordon")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, "s")
	l, err := localapi.Listen(socket)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	d := new(fakeDaemon)
	go func() { done <- localapi.Serve(ctx, l, d, slog.New(slog.DiscardHandler)) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return socket, d
}

func statusOf(socket, path, method string, header http.Header, body string) int {
	tr := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}
	defer tr.CloseIdleConnections()
	req, _ := http.NewRequest(method, "http://cordon"+path, strings.NewReader(body))
	req.Header.Set("Content-Type", "application/json")
	for k, v := range header {
		req.Header[k] = v
	}
	if h := header.Get("Host"); h != "" {
		req.Host = h
	}
	resp, err := tr.RoundTrip(req)
	if err != nil {
		return -1
	}
	defer resp.Body.Close()
	io.Copy(io.Discard, resp.Body)
	return resp.StatusCode
}

func TestClientReachesDaemon(t *testing.T) {
	socket, _ := serve(t)
	c := local.NewClient(socket)
	defer c.Close()
	s, err := c.Status(t.Context())
	if err != nil || s.State != local.StateRunning {
		t.Fatalf("status: %+v, %v", s, err)
	}
	e, err := c.Explain(t.Context(), local.ExplainRequest{Dst: "pacs"})
	if err != nil || e.Dst != "pacs" {
		t.Fatalf("explain: %+v, %v", e, err)
	}
	if n, err := c.Netcheck(t.Context()); err != nil || len(n.Findings) != 1 || n.Findings[0].Topic != "UDP" {
		t.Fatalf("netcheck: %+v, %v", n, err)
	}
	if r, err := c.StockConfig(t.Context(), local.StockRequest{Name: "ct-3"}); err != nil || r.Config != "for ct-3" {
		t.Fatalf("stock config: %+v, %v", r, err)
	}
	if r, err := c.StockReload(t.Context()); err != nil || len(r.Names) != 1 {
		t.Fatalf("stock reload: %+v, %v", r, err)
	}
	if l, err := c.Login(t.Context(), local.LoginRequest{DeviceCode: true}); err != nil || l.ID != "ltrue false" {
		t.Fatalf("login: %+v, %v", l, err)
	}
	if o, err := c.AwaitLogin(t.Context(), local.AwaitLoginRequest{ID: "l1"}); err != nil || o.State != local.LoginRefused || o.Reason != "l1" {
		t.Fatalf("await: %+v, %v", o, err)
	}
	if r, err := c.Logout(t.Context(), local.LogoutRequest{Session: "s1"}); err != nil || r.Ended != 2 {
		t.Fatalf("logout: %+v, %v", r, err)
	}
	if r, err := c.Sessions(t.Context()); err != nil || len(r.Sessions) != 1 || r.Sessions[0].ID != "s1" {
		t.Fatalf("sessions: %+v, %v", r, err)
	}
	_, err = c.Up(t.Context(), local.UpRequest{Name: "ward-3"})
	if problem := new(local.Problem); !errors.As(err, &problem) || !strings.Contains(problem.Message, "spent") {
		t.Fatalf("up: got %v, want the daemon's own words", err)
	}
}

// Every path, called by a user who may open the socket but is neither root nor
// the daemon's: what changes the daemon is refused (A41).
func TestA41RolesOfUnprivilegedUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Fatal("this test calls the socket as another user and needs root")
	}
	socket, d := serve(t)
	if err := os.Chown(socket, 0, nobody); err != nil {
		t.Fatal(err)
	}
	self := copyOfSelf(t, filepath.Dir(socket))
	cmd := exec.Command(self)
	cmd.Dir = "/"
	cmd.Env = []string{helperSocket + "=" + socket}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for path, role := range localapi.Roles() {
		want := http.StatusOK
		if role == localapi.RoleControl {
			want = http.StatusForbidden
		}
		if line := fmt.Sprintf("%s %d\n", path, want); !bytes.Contains(out, []byte(line)) {
			t.Errorf("want %q in:\n%s", line, out)
		}
	}
	// A clinician is not root on their own laptop.
	for _, path := range []string{local.PathLogin, local.PathAwaitLogin, local.PathLogout, local.PathSessions} {
		if line := fmt.Sprintf("%s %d\n", path, http.StatusOK); !bytes.Contains(out, []byte(line)) {
			t.Errorf("nobody can sign in: want %q in:\n%s", line, out)
		}
	}
	for _, call := range d.calls {
		if call != "status" {
			t.Errorf("the daemon was asked to %s", call)
		}
	}
	// At a machine of several people, whose a session is hangs on this.
	if want := []string{strconv.Itoa(nobody)}; !slices.Equal(d.accounts, want) {
		t.Errorf("the accounts %q asked, want %q", d.accounts, want)
	}
}

// copyOfSelf puts the test binary where nobody may run it from.
func copyOfSelf(t *testing.T, dir string) string {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(exe)
	if err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(dir, "caller")
	if err := os.WriteFile(to, b, 0o755); err != nil {
		t.Fatal(err)
	}
	return to
}

// A web page that found a way to the socket is refused (A40).
func TestA40BrowsersAreRefused(t *testing.T) {
	socket, d := serve(t)
	cases := []struct {
		name, path, method, body string
		header                   http.Header
		want                     int
	}{
		{"null origin", local.PathStatus, "POST", "{}", http.Header{"Origin": {"null"}}, 403},
		{"rebound host", local.PathStatus, "POST", "{}", http.Header{"Host": {"evil.example"}}, 403},
		{"simple request", local.PathDown, "POST", "{}", http.Header{"Content-Type": {"text/plain"}}, 415},
		{"get", local.PathDown, "GET", "", nil, 405},
		{"unknown path", "/v1/keys", "POST", "{}", nil, 404},
		{"unknown field", local.PathUp, "POST", `{"nme":"x"}`, nil, 400},
		{"huge", local.PathUp, "POST", `{"name":"` + strings.Repeat("x", 1<<20) + `"}`, nil, 400},
	}
	for _, c := range cases {
		if got := statusOf(socket, c.path, c.method, c.header, c.body); got != c.want {
			t.Errorf("%s: got %d, want %d", c.name, got, c.want)
		}
	}
	if len(d.calls) != 0 {
		t.Errorf("the daemon was asked to %v", d.calls)
	}
}

func TestListenTakesOverDeadSocketOnly(t *testing.T) {
	socket, _ := serve(t)
	if _, err := localapi.Listen(socket); err == nil || !strings.Contains(err.Error(), "another daemon") {
		t.Errorf("a live socket: got %v", err)
	}
	plain := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(plain, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := localapi.Listen(plain); err == nil || !strings.Contains(err.Error(), "no socket") {
		t.Errorf("a plain file: got %v", err)
	}
}
