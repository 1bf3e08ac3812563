package warn

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"time"
)

// SignatureHeader carries "t=UNIX,v1=HEX": HEX is the HMAC-SHA256, under the shared
// secret, of UNIX, a full stop and the body. The time keeps an old message from
// being played again.
const SignatureHeader = "Cordon-Signature"

// minSecret is the shortest secret: who can guess it can make warnings up.
const minSecret = 16

// Webhook posts warnings as JSON.
type Webhook struct {
	url    string
	mesh   string
	secret []byte
	now    func() time.Time
	http   *http.Client
}

// message is the body of a request.
type message struct {
	Mesh  string    `json:"mesh"`
	Kind  string    `json:"kind"`
	Name  string    `json:"name"`
	Until time.Time `json:"until,omitzero"`
	Count int       `json:"count,omitempty"` // if of several: name gives the first few, until is the first end
	Text  string    `json:"text"`
}

// NewWebhook makes a sink of a URL: https, or http to this machine itself. Nothing
// follows a redirection: what is sent is for that server alone.
func NewWebhook(address, mesh string, secret []byte, now func() time.Time) (*Webhook, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.User != nil || u.Fragment != "" || u.Scheme != "https" && !(u.Scheme == "http" && loopback(u.Hostname())) {
		return nil, errors.New("want an https URL without user and fragment (http for this machine alone); what was given is not repeated, for it may hold a secret")
	}
	if len(secret) < minSecret {
		return nil, fmt.Errorf("a secret of %d bytes is too short: want %d or more", len(secret), minSecret)
	}
	return &Webhook{url: address, mesh: mesh, secret: secret, now: now, http: &http.Client{
		Transport:     &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true, TLSHandshakeTimeout: sendWithin},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

func loopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.IsLoopback()
}

// Name says where warnings go, without what a URL's path may hold.
func (h *Webhook) Name() string {
	u, _ := url.Parse(h.url) // it was parsed before
	return "webhook " + u.Host
}

// Send posts a warning. An answer of 4xx but 408 and 429, and any redirection, is a refusal.
func (h *Webhook) Send(ctx context.Context, w Warning) error {
	body, err := json.Marshal(message{h.mesh, line(w.Kind), line(w.Name), w.Until.UTC(), w.Count, w.Text()})
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.url, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("%w: %w", ErrRefused, withoutURL(err))
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "cordon-coordinator")
	req.Header.Set(SignatureHeader, Signature(h.secret, h.now(), body))
	resp, err := h.http.Do(req)
	if err != nil {
		return withoutURL(err)
	}
	defer resp.Body.Close()
	_, _ = io.CopyN(io.Discard, resp.Body, 4096) // so that the other side sees its answer read
	switch code := resp.StatusCode; {
	case code < 300:
		return nil
	case code < 500 && code != http.StatusRequestTimeout && code != http.StatusTooManyRequests:
		return fmt.Errorf("%w: answered %s", ErrRefused, resp.Status)
	}
	return fmt.Errorf("answered %s", resp.Status)
}

// withoutURL takes the URL out of an error that goes to the log: a chat's webhook has
// its secret in the path.
func withoutURL(err error) error {
	var of *url.Error
	if errors.As(err, &of) {
		return of.Err
	}
	return err
}

// Signature gives what SignatureHeader holds for a body sent at a moment.
func Signature(secret []byte, at time.Time, body []byte) string {
	stamp := strconv.FormatInt(at.Unix(), 10)
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(stamp + "."))
	mac.Write(body)
	return "t=" + stamp + ",v1=" + hex.EncodeToString(mac.Sum(nil))
}
