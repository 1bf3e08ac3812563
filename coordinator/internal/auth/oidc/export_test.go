package oidc

import (
	"crypto/x509"
	"net/http"
)

// Crowd has a provider hold refresh tokens of so many more people, and gives their names.
func (p *Provider) Crowd(people int) (names []string) {
	for range people {
		names = append(names, p.vault.hold(held{subject: "s", refresh: "r"}))
	}
	return names
}

// Trusting gives a transport of our own that trusts these besides.
func Trusting(roots *x509.CertPool) *http.Transport {
	t := newTransport()
	t.TLSClientConfig.RootCAs = roots
	return t
}

// Client gives what a provider is asked through.
func Client(p *Provider) *http.Client { return p.client }
