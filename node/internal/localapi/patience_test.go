package localapi_test

import (
	"context"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cordonmesh/cordon/node/internal/localapi"
	"github.com/cordonmesh/cordon/node/local"
)

// pipes is a listener for connections in memory.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   *sync.Once
}

func (p pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p pipes) Close() error   { p.once.Do(func() { close(p.closed) }); return nil }
func (p pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

func (p pipes) dial(context.Context, string, string) (net.Conn, error) {
	near, far := net.Pipe()
	p.conns <- far
	return near, nil
}

// person is a daemon at which somebody signs in and takes their time.
type person struct {
	tally
	takes time.Duration
	left  chan time.Time // when the caller of AwaitLogin was found to have gone
}

func (p *person) AwaitLogin(ctx context.Context, _ local.AwaitLoginRequest) (*local.LoginOutcome, error) {
	select {
	case <-ctx.Done():
		p.left <- time.Now()
		return nil, ctx.Err()
	case <-time.After(p.takes):
		return &local.LoginOutcome{State: local.LoginDone}, nil
	}
}

// inMemory serves d to whom it gives a client.
func inMemory(t *testing.T, d localapi.Daemon) *http.Client {
	ctx, cancel := context.WithCancel(t.Context())
	p, done := pipes{make(chan net.Conn), make(chan struct{}), new(sync.Once)}, make(chan error, 1)
	go func() { done <- localapi.ServeAs(ctx, p, d, localapi.RoleUse) }()
	tr := &http.Transport{DialContext: p.dial}
	t.Cleanup(func() {
		tr.CloseIdleConnections()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return &http.Client{Transport: tr}
}

func await(ctx context.Context, c *http.Client) (int, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://cordon"+local.PathAwaitLogin, strings.NewReader(`{"id":"l1"}`))
	if err != nil {
		return 0, err
	}
	r.Header.Set("Content-Type", "application/json")
	resp, err := c.Do(r)
	if err != nil {
		return 0, err
	}
	return resp.StatusCode, resp.Body.Close()
}

// The bound on how long a request may take to arrive is none on how long a person
// may take to sign in; and a caller who gives up is noticed.
func TestAnAnswerMayTakeAsLongAsAPersonDoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &person{takes: 9 * time.Minute, left: make(chan time.Time, 1)}
		c := inMemory(t, d)
		if code, err := await(t.Context(), c); err != nil || code != http.StatusOK {
			t.Fatal(code, err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		begun := time.Now()
		if code, err := await(ctx, c); err == nil {
			t.Fatal("who gave up was answered", code)
		}
		if after := (<-d.left).Sub(begun); after != time.Minute {
			t.Fatal("that the caller had gone was noticed after", after)
		}
	})
}
