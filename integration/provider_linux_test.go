package integration

import (
	"context"
	"crypto/tls"
	"html"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/zitadel/oidc/v3/example/server/exampleop"
	"github.com/zitadel/oidc/v3/example/server/storage"
	standard "github.com/zitadel/oidc/v3/pkg/oidc"

	"github.com/cordonmesh/cordon/integration/lab"
)

// A provider of identities that is not ours: a certified library's server, beside
// the coordinator, with its own login form.
const (
	issuer   = "http://127.0.0.1:9998/"
	password = "correct-horse"
)

// staff are the provider's accounts.
type staff map[string]*storage.User

func (p staff) GetUserByID(id string) *storage.User         { return p[id] }
func (p staff) GetUserByUsername(name string) *storage.User { return p[name] }
func (staff) ExampleClientID() string                       { return "none" }

// grouped adds groups to what the server's example tells of its users.
type grouped struct{ *storage.Storage }

func (g grouped) SetUserinfoFromToken(ctx context.Context, info *standard.UserInfo, token, subject, origin string) error {
	info.AppendClaims("groups", []string{"Nurses"})
	return g.Storage.SetUserinfoFromToken(ctx, info, token, subject, origin)
}

// serveProvider serves the provider, with nina and ben, on the coordinator's
// machine, behind what a test puts before it, and gives the flags that make a
// coordinator use it.
func serveProvider(t *testing.T, hub *lab.Host, coordinator string, before ...func(http.Handler) http.Handler) []string {
	t.Helper()
	accounts := staff{}
	for _, name := range []string{"nina", "ben"} {
		accounts[name] = &storage.User{ID: "sub-" + name, Username: name, Password: password, FirstName: name, LastName: "of Ward 3",
			Email: name + "@hospital.example", EmailVerified: true}
		accounts["sub-"+name] = accounts[name]
	}
	client := storage.WebClient("cordon", "client-secret", coordinator+"/login/callback")
	store := grouped{storage.NewStorageWithClients(accounts, map[string]*storage.Client{"cordon": client})}
	var server http.Handler = exampleop.SetupServer(issuer, store, nil, false)
	for _, put := range before {
		server = put(server)
	}
	hub.ServeHTTP(netip.MustParseAddrPort("127.0.0.1:9998"), server)
	return []string{"--oidc-issuer", issuer, "--oidc-client-id", "cordon", "--oidc-client-secret-file", secretFile(t, "client-secret\n")}
}

// browser is a person's browser, on the coordinator's machine.
type browser struct {
	t *testing.T
	*http.Client
}

func newBrowser(t *testing.T, on *lab.Host) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		return on.Dial(ctx, network, netip.MustParseAddrPort(address))
	}
	return &browser{t, &http.Client{Jar: jar, Transport: &http.Transport{
		DialContext: dial, DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}} // the lab's coordinator has no web certificate
}

// signIn does what a person does who opens the page of a sign-in, and gives the
// page at its end.
func (b *browser) signIn(page, name string) string {
	b.t.Helper()
	at, text := b.open(b.Get(page))
	form := regexp.MustCompile(`name="form" value="([^"]+)"`).FindStringSubmatch(text)
	if form == nil {
		b.t.Fatalf("%s asks nothing:\n%s", at, text)
	}
	_, text = b.open(b.PostForm(page, url.Values{"form": {form[1]}, "step": {"continue"}}))
	link := regexp.MustCompile(`href="(` + regexp.QuoteMeta(issuer) + `[^"]+)"`).FindStringSubmatch(text)
	if link == nil {
		b.t.Fatalf("no link leads to the provider:\n%s", text)
	}
	at, _ = b.open(b.Get(html.UnescapeString(link[1])))
	_, text = b.open(b.PostForm(issuer+strings.TrimPrefix(at.Path, "/"), url.Values{
		"id": {at.Query().Get("authRequestID")}, "username": {name}, "password": {password}}))
	return text
}

func (b *browser) open(r *http.Response, err error) (*url.URL, string) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return r.Request.URL, string(text)
}
