package oidc

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/oauth2"
)

// maxWords bounds, in bytes, what an error repeats of what a provider sent.
const maxWords = 200

// unproven says what of a provider's answer does not prove anything, and what to do.
func unproven(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrUnproven, fmt.Sprintf(format, args...))
}

// unavailable says what we wanted of the provider, and why we did not get it.
func (p *Provider) unavailable(doing string, err error) error {
	return fmt.Errorf("%w: %s at %s: %w", ErrUnavailable, doing, p.config.Issuer, cause(err))
}

// cause gives the part of err that may be told. What is below a url.Error is of
// the network, of TLS or of guard; any other error of the libraries may hold a
// body, with whatever secrets are in it.
func cause(err error) error {
	if below := new(url.Error); errors.As(err, &below) {
		if unknown := new(x509.UnknownAuthorityError); errors.As(err, unknown) {
			return fmt.Errorf("%w: let this machine trust the authority that signed it (SSL_CERT_FILE)", brief{below.Err})
		}
		return brief{below.Err}
	}
	for _, end := range []error{context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, end) {
			return end
		}
	}
	if refused := new(oauth2.RetrieveError); errors.As(err, &refused) {
		return statusError(refused.Response.StatusCode)
	}
	return errors.New("its answer cannot be read")
}

// brief is an error in few words: a certificate's names, for one, are whatever
// somebody wrote there.
type brief struct{ error }

func (b brief) Error() string { return clip(b.error.Error()) }
func (b brief) Unwrap() error { return b.error }

// refused turns the error of a request that carried secrets into one that
// holds none of them.
func (p *Provider) refused(doing string, err error, secrets ...string) error {
	answer := new(oauth2.RetrieveError)
	if !errors.As(err, &answer) || answer.ErrorCode == "" {
		return p.unavailable(doing, err)
	}
	hide := p.hider(secrets...)
	return &Denied{Code: clip(hide.Replace(answer.ErrorCode)), Description: clip(hide.Replace(answer.ErrorDescription))}
}

// hider finds our secrets in a provider's words, in each form in which they travel.
func (p *Provider) hider(secrets ...string) *strings.Replacer {
	var pairs []string
	id, secret := p.config.ClientID, p.config.ClientSecret
	for _, s := range append(secrets, secret) {
		if s != "" {
			basic := base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(id) + ":" + url.QueryEscape(s)))
			pairs = append(pairs, basic, "(hidden)", url.QueryEscape(s), "(hidden)", s, "(hidden)")
		}
	}
	return strings.NewReplacer(pairs...)
}

// hint says what an admin can do about the provider's refusal.
func (d *Denied) hint() string {
	switch d.Code {
	case "invalid_client":
		return "compare client ID and secret with the provider's"
	case "unauthorized_client", "unsupported_grant_type":
		return "permit this client the authorization code flow, and the device grant if machines without a browser sign in"
	case "invalid_grant":
		return "sign in again; if that does not help, compare the redirect URL with the provider's"
	case "invalid_scope":
		return "permit this client the configured scopes, or configure fewer"
	case "expired_token":
		return "sign in again"
	}
	return ""
}

// clip makes text fit for a line of a log or a page: printable and short.
func clip(text string) string {
	text = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) || r == utf8.RuneError {
			return '.'
		}
		return r
	}, text)
	if len(text) <= maxWords {
		return text
	}
	end := maxWords
	for !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + "..."
}
