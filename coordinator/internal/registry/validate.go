package registry

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Bounds on what a state accepts.
const (
	MaxTokenLifetime = 366 * 24 * time.Hour
	MaxConfirmWithin = 7 * 24 * time.Hour
	MaxUses          = 100_000
	MaxTags          = 32
	MaxAdvertised    = 256
	maxScopes        = 64
	tokenLifetime    = time.Hour // of one for which nobody says it
	tokenUses        = 1         // likewise
	maxLabel         = 63        // RFC 1123, section 2.1, by way of RFC 1035
	maxWord          = 128
)

// invalid gives an ErrInvalid with a reason and the thing.
func invalid(what, got, want string) error {
	return fmt.Errorf("%s %q: %w: want %s", what, shorten(got), ErrInvalid, want)
}

// shorten keeps a hostile megabyte out of an error.
func shorten(text string) string {
	if len(text) <= maxWord {
		return text
	}
	return strings.ToValidUTF8(text[:maxWord], "") + "…"
}

// isLabel tells whether s is a host name label of RFC 1123, in lower case.
func isLabel(s string) bool {
	if s == "" || len(s) > maxLabel || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	return strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

// Label makes a node's name of what a machine calls itself: its first label, in
// lower case, with '-' for every run of what a label can't hold. A name of which
// nothing is left becomes "node".
func Label(host string) string {
	host, _, _ = strings.Cut(strings.ToLower(host[:min(len(host), 1024)]), ".")
	var b strings.Builder
	for _, r := range host {
		switch {
		case r >= 'a' && r <= 'z' || r >= '0' && r <= '9':
			b.WriteRune(r)
		case b.Len() > 0 && !strings.HasSuffix(b.String(), "-"):
			b.WriteByte('-')
		}
	}
	out := strings.TrimRight(b.String()[:min(b.Len(), maxLabel)], "-")
	if out == "" {
		return "node"
	}
	return out
}

// freeName gives the label, or the label with a number behind it that nobody has:
// the least, unless a machine with a smaller one was removed. A thousand machines
// of one image come with one name, so it does not try every number.
func (s *State) freeName(label string) string {
	name := func(i int) string {
		if i == 1 {
			return label
		}
		suffix := fmt.Sprintf("-%d", i)
		return strings.TrimRight(label[:min(len(label), maxLabel-len(suffix))], "-") + suffix
	}
	free := func(i int) bool {
		_, taken := s.byName.Get(name(i))
		return !taken
	}
	taken, open := 0, 1
	for !free(open) {
		taken, open = open, 2*open
	}
	for open-taken > 1 {
		if middle := (taken + open) / 2; free(middle) {
			open = middle
		} else {
			taken = middle
		}
	}
	return name(open)
}

// CheckDomain tells whether a mesh can have the domain. It fails with ErrInvalid.
func CheckDomain(domain string) error {
	labels := strings.Split(domain, ".")
	if len(domain) > 200 || slices.ContainsFunc(labels, func(l string) bool { return !isLabel(l) }) {
		return invalid("domain", domain, "a lower-case DNS name such as mesh.clinic.example")
	}
	return nil
}

// checkWord bounds text that is shown, and not understood. What a terminal would
// obey (C0 and C1 controls) and what reorders or hides a line (format characters)
// is not printable.
func checkWord(what, text string) error {
	if len(text) > maxWord || strings.ContainsFunc(text, odd) {
		return invalid(what, text, fmt.Sprintf("at most %d bytes of printable UTF-8", maxWord))
	}
	return nil
}

func odd(r rune) bool { return !unicode.IsPrint(r) || r == utf8.RuneError }

func checkUser(login string) error {
	name, host, ok := strings.Cut(login, "@")
	if !ok || name == "" || host == "" || strings.ContainsAny(login, " \t\"*,:/") || strings.Contains(host, "@") {
		return invalid("user", login, "a login such as ana@clinic.example")
	}
	return checkWord("user", login)
}

// checkRoute checks a prefix that may be behind a node.
func (s *State) checkRoute(p netip.Prefix) error {
	if !p.IsValid() || p != p.Masked() || p.Addr().Is4In6() || p.Addr().Zone() != "" {
		return invalid("route", p.String(), "a prefix without bits beyond its length, such as 10.20.0.0/16")
	}
	if p.Addr().IsLoopback() || p.Addr().IsMulticast() || p.Addr().IsLinkLocalUnicast() {
		return invalid("route", p.String(), "a prefix of unicast addresses that others can reach")
	}
	if r, bad := s.Overlaps(p); bad {
		return invalid("route", p.String(), fmt.Sprintf("a prefix outside the mesh's own range %v", r))
	}
	return nil
}

// routeSet gives routes sorted and without duplicates.
func (s *State) routeSet(routes []netip.Prefix) ([]netip.Prefix, error) {
	if len(routes) > MaxAdvertised {
		return nil, invalid("advertised routes", fmt.Sprint(len(routes)), fmt.Sprintf("at most %d", MaxAdvertised))
	}
	for _, p := range routes {
		if err := s.checkRoute(p); err != nil {
			return nil, err
		}
	}
	out := slices.Clone(routes)
	slices.SortFunc(out, netip.Prefix.Compare)
	return slices.Compact(out), nil
}

// isID tells whether s can be a token's id.
func isID(s string) bool {
	return s != "" && len(s) <= 64 &&
		strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-") == ""
}
