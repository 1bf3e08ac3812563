package signin

import (
	"crypto/rand"
	"encoding/hex"
	"strings"
	"time"
	"unicode"
)

// codeLetters has no vowels, so that no code is a word: RFC 8628 section 6.1.
// A byte below codeBytes draws each of them with the same chance.
const (
	codeLetters = "BCDFGHJKLMNPQRSTVWXZ"
	codeLength  = 8
	codeBytes   = 256 - 256%len(codeLetters)
)

// drawCode draws a code that is easy to read aloud and compare: BCDF-GHJK. It is
// no secret.
func drawCode() string {
	var code []byte
	for b := [1]byte{}; len(code) < codeLength; {
		if _, _ = rand.Read(b[:]); int(b[0]) < codeBytes { // never fails: crypto/rand
			code = append(code, codeLetters[int(b[0])%len(codeLetters)])
		}
	}
	return string(code[:codeLength/2]) + "-" + string(code[codeLength/2:])
}

// drawSecret gives 26 letters and digits with 130 random bits.
func drawSecret() string { return rand.Text() }

// secretLength is the length of what drawSecret gives.
const secretLength = 26

// isID tells whether text may be the id of a sign-in, before anybody looks.
func isID(text string) bool {
	return len(text) == secretLength && strings.Trim(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") == ""
}

// cookieName gives each sign-in a cookie of its own, so that a person can sign in
// at two machines at a time. The __Host- prefix keeps other hosts of our domain
// from planting one (RFC 6265bis section 4.1.3.2).
func cookieName(id string) string {
	d := digestOf("cookie " + id)
	return "__Host-cordon-" + hex.EncodeToString(d[:6])
}

// drawAttempt draws the secrets of one authorization request. A verifier has 43
// characters or more (RFC 7636 section 4.1).
func drawAttempt(now time.Time, asked Request, hint string) Attempt {
	a := Attempt{State: drawSecret(), Nonce: drawSecret(), Verifier: drawSecret() + drawSecret(), Afresh: asked.Afresh, Begun: now, Hint: hint}
	if asked.ACR != "" {
		a.ACR = []string{asked.ACR}
	}
	return a
}

const maxReason = 300 // characters

// plain gives what others wrote as a line of text that may be shown in a terminal
// and in a log: printable, cut, and without the secrets.
func plain(text string, secrets ...string) string {
	for _, s := range secrets {
		if s != "" {
			text = strings.ReplaceAll(text, s, "(secret)")
		}
	}
	var out strings.Builder
	left := maxReason
	for _, r := range text {
		if left--; left < 0 {
			return strings.TrimSpace(out.String()) + "…"
		}
		if !unicode.IsPrint(r) {
			r = ' '
		}
		out.WriteRune(r)
	}
	return strings.TrimSpace(out.String())
}
