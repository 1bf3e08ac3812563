package localapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/cordonmesh/cordon/node/internal/localapi"
	"github.com/cordonmesh/cordon/node/local"
)

// tally notes what the daemon was asked for, and answers little.
type tally struct{ used, changed int }

func (d *tally) Status(context.Context, local.StatusRequest) (*local.Status, error) {
	d.used++
	return &local.Status{State: local.StateRunning}, nil
}

func (d *tally) Up(context.Context, local.UpRequest) (*local.Status, error) {
	d.changed++
	return &local.Status{State: local.StateRunning}, nil
}

func (d *tally) Join(context.Context, local.JoinRequest) (*local.JoinResponse, error) {
	d.changed++
	return &local.JoinResponse{}, nil
}

func (d *tally) AwaitJoin(context.Context, local.AwaitLoginRequest) (*local.LoginOutcome, error) {
	d.changed++
	return &local.LoginOutcome{}, nil
}

func (d *tally) Down(context.Context) (*local.Status, error) {
	d.changed++
	return &local.Status{State: local.StateStopped}, nil
}

func (d *tally) Ping(context.Context, local.PingRequest) (*local.PingResponse, error) {
	d.used++
	return &local.PingResponse{}, nil
}

func (d *tally) Flows(context.Context, local.FlowsRequest) (*local.FlowsResponse, error) {
	d.used++
	return &local.FlowsResponse{}, nil
}

func (d *tally) Explain(context.Context, local.ExplainRequest) (*local.ExplainResponse, error) {
	d.used++
	return &local.ExplainResponse{}, nil
}

func (d *tally) Netcheck(context.Context) (*local.NetcheckResponse, error) {
	d.used++
	return &local.NetcheckResponse{}, nil
}

func (d *tally) StockConfig(context.Context, local.StockRequest) (*local.StockResponse, error) {
	d.used++
	return &local.StockResponse{}, nil
}

func (d *tally) StockReload(context.Context) (*local.StockResponse, error) {
	d.changed++
	return &local.StockResponse{}, nil
}

func (d *tally) Login(context.Context, local.LoginRequest) (*local.Login, error) {
	d.used++
	return &local.Login{}, nil
}

func (d *tally) AwaitLogin(context.Context, local.AwaitLoginRequest) (*local.LoginOutcome, error) {
	d.used++
	return &local.LoginOutcome{}, nil
}

func (d *tally) Logout(context.Context, local.LogoutRequest) (*local.LogoutResponse, error) {
	d.used++
	return &local.LogoutResponse{}, nil
}

func (d *tally) Sessions(context.Context) (*local.SessionsResponse, error) {
	d.used++
	return &local.SessionsResponse{}, nil
}

// counted is a body that knows how much of it was read.
type counted struct {
	io.Reader
	read int
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.read += n
	return n, err
}

func (c *counted) Close() error { return nil }

// Far more than any answer that the daemon of these tests gives.
const shortAnswer = 4 << 10

// FuzzHandler sends any request in any role. The daemon is asked only by a POST
// of JSON to this host that no web page made, it is changed only in the role
// for that, an unknown caller gets nothing, and no more is read than the bound.
func FuzzHandler(f *testing.F) {
	for path := range localapi.Roles() {
		f.Add("POST", path, "cordon", "", "application/json", []byte("{}"), int(localapi.RoleUse))
	}
	f.Fuzz(func(t *testing.T, method, target, host, origin, kind string, body []byte, role int) {
		u, err := url.ParseRequestURI(target)
		if err != nil {
			return // net/http answers these itself
		}
		b := &counted{Reader: bytes.NewReader(body)}
		r := &http.Request{Method: method, URL: u, RequestURI: target, Host: host, Header: http.Header{}, Body: b, ContentLength: int64(len(body))}
		if origin != "" {
			r.Header.Set("Origin", origin)
		}
		r.Header.Set("Content-Type", kind)
		d, w := new(tally), httptest.NewRecorder()
		who := localapi.Role(role)
		localapi.HandlerFor(d, who).ServeHTTP(w, r)

		if d.changed > 0 && who < localapi.RoleControl || d.used > 0 && who < localapi.RoleUse {
			t.Fatalf("role %d used it %d times and changed %d times", role, d.used, d.changed)
		}
		honest := method == http.MethodPost && host == "cordon" && origin == "" && kind == "application/json"
		if d.used+d.changed > 1 || d.used+d.changed > 0 && !honest {
			t.Fatalf("%s %q from host %q, origin %q, type %q asked the daemon", method, target, host, origin, kind)
		}
		if (d.used+d.changed > 0) != (w.Code == http.StatusOK) {
			t.Fatalf("code %d after %d calls", w.Code, d.used+d.changed)
		}
		if d.used+d.changed > 0 && localapi.Roles()[u.EscapedPath()] == localapi.RoleNone {
			t.Fatalf("%q is no method, and was called", u.Path)
		}
		if b.read > localapi.MaxRequest+1 {
			t.Fatalf("%d bytes of the body were read", b.read)
		}
		if w.Body.Len() > shortAnswer || !json.Valid(w.Body.Bytes()) {
			t.Fatalf("answer of %d bytes: %.200q", w.Body.Len(), w.Body)
		}
	})
}

// A body that goes on is read up to the bound and no further, and who is not
// known does not have a byte of it read.
func TestLongBodyIsCutOff(t *testing.T) {
	for name, c := range map[string]struct {
		handler func(localapi.Daemon) http.Handler
		most    int
		code    int
	}{
		"root":   {func(d localapi.Daemon) http.Handler { return localapi.HandlerFor(d, localapi.RoleControl) }, localapi.MaxRequest + 1, 400},
		"reader": {func(d localapi.Daemon) http.Handler { return localapi.HandlerFor(d, localapi.RoleUse) }, 0, 403},
		"nobody": {localapi.HandlerForNobody, 0, 403},
	} {
		d, b := new(tally), &counted{Reader: strings.NewReader(`{"name":"` + strings.Repeat("x", 1<<20) + `"}`)}
		r := httptest.NewRequest(http.MethodPost, "http://cordon"+local.PathUp, b)
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		c.handler(d).ServeHTTP(w, r)
		if b.read > c.most || w.Code != c.code || *d != (tally{}) {
			t.Errorf("%s: %d bytes read, code %d, daemon %+v", name, b.read, w.Code, *d)
		}
	}
}

// What a stranger asks for does not decide how much is allocated for the refusal.
func TestRefusalCostsTheSameForAnyPath(t *testing.T) {
	h := localapi.HandlerForNobody(new(tally))
	cost := func(path string) float64 {
		r := httptest.NewRequest(http.MethodPost, "http://cordon"+path, strings.NewReader("{}"))
		return testing.AllocsPerRun(100, func() { h.ServeHTTP(discard{http.Header{}}, r) })
	}
	costs := []float64{cost("/x"), cost("/" + strings.Repeat("x", 8<<10)), cost("/" + strings.Repeat("../", 1000)), cost(local.PathUp + "?" + strings.Repeat("a=b&", 1000))}
	if most := slices.Max(costs); most > 40 || most > slices.Min(costs)+10 {
		t.Errorf("allocations for a refusal: %v", costs)
	}
}

// discard is a ResponseWriter that keeps nothing.
type discard struct{ header http.Header }

func (d discard) Header() http.Header         { return d.header }
func (d discard) Write(p []byte) (int, error) { return len(p), nil }
func (d discard) WriteHeader(int)             {}
