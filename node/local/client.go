package local

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"syscall"
	"time"
)

// Paths of the local API; each takes a POST with the request type's JSON.
const (
	PathStatus   = "/v1/status"
	PathUp       = "/v1/up"
	PathDown     = "/v1/down"
	PathPing     = "/v1/ping"
	PathExplain  = "/v1/explain"
	PathFlows    = "/v1/flows"
	PathNetcheck = "/v1/netcheck"

	PathJoin      = "/v1/join"
	PathAwaitJoin = "/v1/join/await"

	PathLogin      = "/v1/login"
	PathAwaitLogin = "/v1/login/await"
	PathLogout     = "/v1/logout"
	PathSessions   = "/v1/sessions"

	PathStockConfig = "/v1/stock/config"
	PathStockReload = "/v1/stock/reload"
)

// maxAnswer bounds what a daemon may answer: a status of 10,000 peers is 4 MB.
const maxAnswer = 64 << 20

// Client speaks to one daemon.
type Client struct {
	socket string
	http   *http.Client
}

// NewClient makes a client of the daemon that serves the given unix socket.
func NewClient(socket string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", socket)
	}
	return &Client{
		socket: socket,
		http:   &http.Client{Transport: &http.Transport{DialContext: dial, MaxIdleConns: 1, IdleConnTimeout: time.Minute}},
	}
}

// Close ends idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Status asks what the daemon is doing.
func (c *Client) Status(ctx context.Context) (*Status, error) {
	return call[Status](ctx, c, PathStatus, struct{}{})
}

// StatusFor asks the same on somebody's behalf.
func (c *Client) StatusFor(ctx context.Context, r StatusRequest) (*Status, error) {
	return call[Status](ctx, c, PathStatus, r)
}

// Up joins a mesh or starts again; it returns when the node runs, is pending,
// or could not be enrolled.
func (c *Client) Up(ctx context.Context, r UpRequest) (*Status, error) {
	return call[Status](ctx, c, PathUp, r)
}

// Down stops tunnels and names; the identity stays.
func (c *Client) Down(ctx context.Context) (*Status, error) {
	return call[Status](ctx, c, PathDown, struct{}{})
}

// Ping probes the path to a peer.
func (c *Client) Ping(ctx context.Context, r PingRequest) (*PingResponse, error) {
	return call[PingResponse](ctx, c, PathPing, r)
}

// Netcheck has the daemon look at this machine's network, which takes seconds.
func (c *Client) Netcheck(ctx context.Context) (*NetcheckResponse, error) {
	return call[NetcheckResponse](ctx, c, PathNetcheck, struct{}{})
}

// Explain asks for the node's verdict on a flow.
func (c *Client) Explain(ctx context.Context, r ExplainRequest) (*ExplainResponse, error) {
	return call[ExplainResponse](ctx, c, PathExplain, r)
}

// StockConfig asks for the configuration of a stock peer's own end.
func (c *Client) StockConfig(ctx context.Context, r StockRequest) (*StockResponse, error) {
	return call[StockResponse](ctx, c, PathStockConfig, r)
}

// StockReload has the daemon read its file of stock peers again; it returns when
// what the file says is enforced.
func (c *Client) StockReload(ctx context.Context) (*StockResponse, error) {
	return call[StockResponse](ctx, c, PathStockReload, struct{}{})
}

func call[T any](ctx context.Context, c *Client, path string, in any) (*T, error) {
	body, err := json.Marshal(in)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://cordon"+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.explain(err)
	}
	defer resp.Body.Close()
	answer := json.NewDecoder(io.LimitReader(resp.Body, maxAnswer))
	if resp.StatusCode != http.StatusOK {
		problem := new(Problem)
		if answer.Decode(problem) != nil || problem.Message == "" {
			return nil, fmt.Errorf("the daemon answered %s", resp.Status)
		}
		return nil, problem
	}
	out := new(T)
	if err := answer.Decode(out); err != nil {
		return nil, fmt.Errorf("reading the daemon's answer: %w", err)
	}
	return out, nil
}

// explain turns the three usual failures into what to do about them.
func (c *Client) explain(err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("no daemon answers at %s: start it with `cordon daemon`, or name its socket with --socket", c.socket)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("may not open %s: run as root, or join the socket's group", c.socket)
	}
	return fmt.Errorf("asking the daemon at %s: %w", c.socket, err)
}
