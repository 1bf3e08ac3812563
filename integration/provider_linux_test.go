package integration

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"testing"

	"github.com/cordonmesh/cordon/integration/idp"
	"github.com/cordonmesh/cordon/integration/lab"
)

// issuer is the provider's address, beside the coordinator.
const issuer = "http://127.0.0.1:9998/"

// serveProvider serves the provider, with nina and ben, on the coordinator's
// machine, behind what a test puts before it, and gives the flags that make a
// coordinator use it.
func serveProvider(t *testing.T, hub *lab.Host, coordinator string, before ...func(http.Handler) http.Handler) []string {
	t.Helper()
	server := idp.Serve(issuer, coordinator, "nina@hospital.example", "ben@hospital.example")
	for _, put := range before {
		server = put(server)
	}
	hub.ServeHTTP(netip.MustParseAddrPort("127.0.0.1:9998"), server)
	return []string{"--oidc-issuer", issuer, "--oidc-client-id", idp.ClientID, "--oidc-client-secret-file", secretFile(t, idp.ClientSecret+"\n")}
}

// browser is a person's browser, on the coordinator's machine.
type browser struct {
	t *testing.T
	*idp.Browser
}

func newBrowser(t *testing.T, on *lab.Host) *browser {
	return &browser{t, idp.NewBrowser(func(ctx context.Context, network, address string) (net.Conn, error) {
		return on.Dial(ctx, network, netip.MustParseAddrPort(address))
	})}
}

// signIn does what a person does who opens the page of a sign-in, and gives the
// page at its end.
func (b *browser) signIn(link, name string) (page string) {
	b.t.Helper()
	page, err := b.SignIn(link, issuer, name)
	if err != nil {
		b.t.Fatal(err)
	}
	return page
}

// visit opens a link, and gives where it led and the page there.
func (b *browser) visit(link string) (at *url.URL, page string) {
	b.t.Helper()
	at, page, err := b.Open(link)
	if err != nil {
		b.t.Fatal(err)
	}
	return at, page
}
