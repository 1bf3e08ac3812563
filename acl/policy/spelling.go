package policy

import (
	"fmt"
	"strings"
	"unicode"

	"github.com/tailscale/hujson"
)

// warnOfCapitals warns of every login in a tree that is not in lower case. Letter
// case counts, and the logins of those who sign in are taken in lower case.
func (r *reader) warnOfCapitals(v *hujson.Value) {
	switch t := v.Value.(type) {
	case *hujson.Array:
		for i := range t.Elements {
			r.warnOfCapitals(&t.Elements[i])
		}
	case *hujson.Object:
		for i := range t.Members {
			m := &t.Members[i]
			if r.unquoted(&m.Name) != "app" { // capabilities are in the words of others
				r.warnOfCapitals(&m.Value)
			}
		}
	case hujson.Literal:
		if t.Kind() == '"' && len(r.warns) < maxErrors {
			r.warnOfCapital(item{strings.TrimSpace(r.unquoted(v)), v.StartOffset})
		}
	}
}

func (r *reader) warnOfCapital(it item) {
	text := it.text
	if strings.ToLower(text) == text || !strings.Contains(text, "@") {
		return
	}
	if host, _, bad := splitPorts(text); bad == nil && !strings.HasPrefix(text, "user:") {
		text = host
	}
	who, domain := "nobody who signs in has this login", strings.TrimPrefix(text, "user:*@")
	if domain != text {
		if who = "nobody who signs in has a login of this domain"; strings.ContainsAny(domain, " @") {
			return
		}
	} else if _, bad := login(text); bad != nil || strings.HasSuffix(text, "@") {
		return
	}
	if low := strings.ToLower(text); low != text {
		r.warn(it.at, text, fmt.Sprintf("%s: those are taken in lower case, and letter case counts here; write %q", who, low))
	}
}

// warnOfUnseen warns of a group of an identity provider that nobody is ever in.
func (r *reader) warnOfUnseen(it item) {
	if strings.ContainsFunc(it.text, func(c rune) bool { return !unicode.IsPrint(c) }) {
		r.warn(it.at, it.text, "nobody is ever in this group: one whose name holds what cannot be seen is left out when its people sign in; rename it there and here")
	}
}
