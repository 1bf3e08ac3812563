package oidc

import (
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

const (
	// leeway is how far the provider's clock and ours may lie apart.
	leeway = time.Minute
	// freshness is how long ago a token may have been made: one that was just
	// asked for is seconds old, and any other was kept by somebody.
	freshness = 10 * time.Minute
)

// claims is what a provider signed or answered, by the exact names.
type claims map[string]json.RawMessage

// has tells whether c makes a claim; null is none (OpenID Connect Core section 5.3.2).
func (c claims) has(name string) bool {
	raw, ok := c[name]
	return ok && string(raw) != "null"
}

// text gives a claim that is a string, else "".
func (c claims) text(name string) (s string) {
	if json.Unmarshal(c[name], &s) != nil {
		return ""
	}
	return s
}

// words gives a claim that is a list of strings.
func (c claims) words(name string) ([]string, error) {
	var list []string
	if err := json.Unmarshal(c[name], &list); err != nil {
		return nil, fmt.Errorf("its claim %q is no list of strings", name)
	}
	return list, nil
}

// oneOrMore gives a claim that is a string or a list of them.
func (c claims) oneOrMore(name string) ([]string, error) {
	var s string
	if c.has(name) && json.Unmarshal(c[name], &s) == nil {
		return []string{s}, nil
	}
	list, err := c.words(name)
	if err != nil {
		return nil, fmt.Errorf("its claim %q is neither a string nor a list of them", name)
	}
	return list, nil
}

// moment gives a claim that is a NumericDate (RFC 7519 section 2), in whole
// seconds, and refuses what no clock shows.
func (c claims) moment(name string) (time.Time, error) {
	const lastSecond = 253402300799 // of the year 9999
	var seconds float64
	if err := json.Unmarshal(c[name], &seconds); err != nil || seconds <= 0 || seconds > lastSecond {
		return time.Time{}, fmt.Errorf("its claim %q is no time", name)
	}
	return time.Unix(int64(seconds), 0).UTC(), nil
}

// demand is what the token of one attempt must show beyond what all must.
type demand struct {
	nonce string    // "" is none: of a device grant
	since time.Time // of auth_time; zero is any, or none
	acr   []string  // one of these; nil is any, or none

	byCode bool // of a device grant, in which nobody could ask for any of it
}

// judge decides whether a provider's claims prove something to us, now.
type judge struct {
	issuer, client string
	now            time.Time
	demand
}

// check is OpenID Connect Core section 3.1.3.7, steps 2 to 5 and 9 to 13, where
// each "should" is a "must".
func (j judge) check(c claims) error {
	for _, check := range []func(claims) error{j.checkIssuer, j.checkAudience, j.checkTimes, j.checkNonce, j.checkProof, j.checkLevel, checkSubject} {
		if err := check(c); err != nil {
			return fmt.Errorf("%w: %w", ErrUnproven, err)
		}
	}
	return nil
}

func (j judge) checkIssuer(c claims) error {
	if iss := c.text("iss"); iss != j.issuer {
		return fmt.Errorf("its ID token is of the issuer %q, not of %q", clip(iss), j.issuer)
	}
	return nil
}

// checkAudience refuses what was made for another client: whoever runs that one
// could sign in here as each of its people.
func (j judge) checkAudience(c claims) error {
	audience, err := c.oneOrMore("aud")
	switch {
	case err != nil:
		return err
	case !slices.Contains(audience, j.client):
		return fmt.Errorf("its ID token is for %s, not for the client %q", clip(strings.Join(audience, ", ")), j.client)
	case c.has("azp") && c.text("azp") != j.client:
		return fmt.Errorf("its ID token was made for the client %q (azp), not for %q", clip(c.text("azp")), j.client)
	case len(audience) > 1 && !c.has("azp"):
		return errors.New("its ID token has several audiences and does not say for whom it was made (azp)")
	}
	return nil
}

func (j judge) checkTimes(c claims) error {
	issued, err := c.moment("iat")
	if err != nil {
		return err
	}
	end, err := c.moment("exp")
	switch {
	case err != nil:
		return err
	case issued.After(j.now.Add(leeway)):
		return fmt.Errorf("its ID token is of %v, which is to come: compare the clocks", issued)
	case issued.Before(j.now.Add(-freshness - leeway)):
		return fmt.Errorf("its ID token is of %v, and not for this attempt: compare the clocks", issued)
	case !end.After(j.now.Add(-leeway)):
		return fmt.Errorf("its ID token ended at %v: compare the clocks", end)
	case !end.After(issued):
		return errors.New("its ID token ends before it begins")
	}
	if begin, err := c.moment("nbf"); c.has("nbf") && (err != nil || begin.After(j.now.Add(leeway))) {
		return errors.New("its ID token does not hold yet (nbf): compare the clocks")
	}
	return nil
}

// checkNonce ties the token to this attempt: one that was caught elsewhere has
// the nonce of another.
func (j judge) checkNonce(c claims) error {
	if j.nonce != "" && subtle.ConstantTimeCompare([]byte(c.text("nonce")), []byte(j.nonce)) != 1 {
		return errors.New("its ID token is not of this attempt (nonce)")
	}
	return nil
}

// checkProof holds the provider to what max_age asked for. "When a max_age
// request is made then its use is REQUIRED" (section 2, auth_time).
func (j judge) checkProof(c claims) error {
	if !c.has("auth_time") {
		if !j.since.IsZero() {
			return fmt.Errorf("its ID token does not say when the person proved who they are: %s", j.remedy("let the provider send the claim auth_time"))
		}
		return nil
	}
	at, err := c.moment("auth_time")
	switch {
	case err != nil:
		return err
	case at.After(j.now.Add(leeway)):
		return fmt.Errorf("the person proved who they are at %v, which is to come: compare the clocks", at)
	case at.Before(j.since.Add(-leeway)):
		return fmt.Errorf("the person proved who they are at %v, and this must be done afresh: %s", at, j.remedy("let the provider honour max_age"))
	}
	return nil
}

// remedy tells what to do for a fresh proof: the person, who may choose another way, or
// whoever cares for the provider.
func (j judge) remedy(provider string) string {
	if j.byCode {
		return "sign in without --device-code, in a browser that reaches the coordinator, or sign out at the provider and begin again (" + provider + ")"
	}
	return provider
}

func (j judge) checkLevel(c claims) error {
	level := c.text("acr")
	switch {
	case c.has("acr") && !isWord(level):
		return errors.New(`its claim "acr" is no word`)
	case len(j.acr) > 0 && !slices.Contains(j.acr, level):
		return fmt.Errorf("%w: it says the level %q (acr), and %s was asked for; whoever cares for it must have it give that level when asked (acr_values)",
			ErrBelow, clip(level), strings.Join(j.acr, " or "))
	}
	return nil
}

// checkSubject: "It MUST NOT exceed 255 ASCII characters in length" (section 2).
func checkSubject(c claims) error {
	sub := c.text("sub")
	if sub == "" || len(sub) > maxText || strings.ContainsFunc(sub, func(r rune) bool { return r < ' ' || r >= 0x7f }) {
		return fmt.Errorf(`its claim "sub" is not 1 to %d printable ASCII characters`, maxText)
	}
	return nil
}
