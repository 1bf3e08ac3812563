package oidc

import (
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"time"
)

// maxText is how long, in bytes, a name or address may be that travels in a URL,
// a claim or a page.
const maxText = 255

// complete gives c with its defaults, or what is wrong with it.
func (c Config) complete() (Config, error) {
	for _, check := range []error{
		checkURL("issuer", c.Issuer, false),
		checkURL("redirect URL", c.RedirectURL, true),
		checkWord("client ID", c.ClientID),
	} {
		if check != nil {
			return c, check
		}
	}
	if c.Scopes == nil {
		c.Scopes = []string{"profile", "email"}
	}
	c.Scopes = append([]string{"openid"}, slices.DeleteFunc(slices.Clone(c.Scopes), func(s string) bool { return s == "openid" })...)
	for _, s := range c.Scopes {
		if err := checkWord("scope", s); err != nil {
			return c, err
		}
	}
	c.names()
	return c, nil
}

func (c *Config) names() {
	if c.LoginClaim == "" {
		c.LoginClaim = claimEmail
	}
	if c.GroupsClaim == "" {
		c.GroupsClaim = "groups"
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
}

// checkURL holds an address to https. One of loopback may be http: that is for
// tests, and for a provider that stands behind a proxy on this machine.
func checkURL(what, text string, query bool) error {
	u, err := url.Parse(text)
	switch {
	case text == "":
		return fmt.Errorf("OpenID Connect: the %s is missing", what)
	case err != nil || u.Host == "" || u.User != nil || u.Fragment != "" || len(text) > maxText || !isWord(text):
		return fmt.Errorf("OpenID Connect: the %s %q is not an address such as https://login.example.org/hospital", what, clip(text))
	case !secure(u, true):
		return fmt.Errorf("OpenID Connect: the %s %q must begin with https://", what, clip(text))
	case u.RawQuery != "" && !query:
		return fmt.Errorf("OpenID Connect: the %s %q must have no query (OpenID Connect Core section 2)", what, clip(text))
	}
	return nil
}

func checkWord(what, text string) error {
	if !isWord(text) {
		return fmt.Errorf("OpenID Connect: the %s %q must be a word of 1 to %d ASCII characters", what, clip(text), maxText)
	}
	return nil
}

// isWord tells whether s is 1 to 255 ASCII characters that can be seen. Letters
// beyond ASCII are left out on purpose: some look like others, and some turn into
// ASCII when their case changes (the Kelvin sign is a k in lower case).
func isWord(s string) bool {
	return s != "" && len(s) <= maxText && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f })
}
