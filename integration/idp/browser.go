package idp

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"html"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
)

// Browser is a person's browser, with cookies of its own.
type Browser struct {
	client *http.Client
	proofs int
}

// NewBrowser gives a browser whose connections dial opens. It trusts every
// certificate: a coordinator in a test has none of the web's.
func NewBrowser(dial func(ctx context.Context, network, address string) (net.Conn, error)) *Browser {
	jar, err := cookiejar.New(nil)
	if err != nil {
		panic(err) // only its options could be wrong
	}
	return &Browser{client: &http.Client{Jar: jar, Transport: &http.Transport{
		DialContext: dial, DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}}
}

// Client gives what the browser asks with.
func (b *Browser) Client() *http.Client { return b.client }

// Cookies gives what the browser would send to a page.
func (b *Browser) Cookies(page *url.URL) []*http.Cookie { return b.client.Jar.Cookies(page) }

// Open follows a link, and gives where it led and the page there.
func (b *Browser) Open(link string) (at *url.URL, page string, err error) {
	return read(b.client.Get(link))
}

// Submit sends a form, and gives where that led and the page there.
func (b *Browser) Submit(action string, fields url.Values) (at *url.URL, page string, err error) {
	return read(b.client.PostForm(action, fields))
}

// SignIn does what a person does who opens the page of a sign-in and proves at
// the provider who they are. It gives the page at the end.
func (b *Browser) SignIn(link, issuer, name string) (page string, err error) {
	away, err := b.Agree(link)
	if err != nil {
		return "", err
	}
	back, err := b.Prove(away, issuer, name)
	if err != nil {
		return "", err
	}
	_, page, err = b.Open(back)
	return page, err
}

// Proofs tells how often the browser's person was asked for their password, and gave it.
func (b *Browser) Proofs() int { return b.proofs }

// Prove follows the link that leads to the provider, fills its form if there is one,
// and gives the link that leads back from there.
func (b *Browser) Prove(away, issuer, name string) (back string, err error) {
	home, err := url.Parse(issuer)
	if err != nil {
		return "", err
	}
	// Whoever returns is looked at, not followed: the next page is the coordinator's.
	stay := *b.client
	stay.CheckRedirect = func(next *http.Request, _ []*http.Request) error {
		if next.URL.Host != home.Host {
			return http.ErrUseLastResponse
		}
		return nil
	}
	r, err := stay.Get(away)
	if err != nil {
		return "", err
	}
	r.Body.Close()
	if back = r.Header.Get("Location"); back != "" {
		return back, nil // it remembers the person
	}
	b.proofs++
	r, err = stay.PostForm(strings.TrimSuffix(issuer, "/")+r.Request.URL.Path, url.Values{
		"id": {r.Request.URL.Query().Get("authRequestID")}, "username": {name}, "password": {Password}})
	if err != nil {
		return "", err
	}
	defer r.Body.Close()
	if back = r.Header.Get("Location"); back == "" {
		return "", fmt.Errorf("the provider does not lead back: %s", r.Status)
	}
	return back, nil
}

var (
	formField = regexp.MustCompile(`name="form" value="([^"]+)"`)
	wayOut    = regexp.MustCompile(`href="(http[^"]+)"`)
)

// Agree opens the page of a sign-in, agrees to it, and gives the link that leads
// on to the provider.
func (b *Browser) Agree(link string) (away string, err error) {
	_, page, err := b.Open(link)
	if err != nil {
		return "", err
	}
	form := formField.FindStringSubmatch(page)
	if form == nil {
		return "", fmt.Errorf("%s asks nothing:\n%s", link, page)
	}
	_, page, err = b.Submit(link, url.Values{"form": {form[1]}, "step": {"continue"}})
	if err != nil {
		return "", err
	}
	out := wayOut.FindStringSubmatch(page)
	if out == nil {
		return "", fmt.Errorf("no link leads to the provider:\n%s", page)
	}
	return html.UnescapeString(out[1]), nil
}

func read(r *http.Response, err error) (*url.URL, string, error) {
	if err != nil {
		return nil, "", err
	}
	defer r.Body.Close()
	page, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, "", errors.Join(errors.New("the page broke off"), err)
	}
	return r.Request.URL, string(page), nil
}
