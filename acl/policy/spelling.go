package policy

import (
	"fmt"
	"strings"
	"unicode"
)

// warnOfCapitals warns of every login in a tree that is not in lower case. Letter
// case counts, and the logins of those who sign in are taken in lower case.
func (r *reader) warnOfCapitals(v *value) {
	for i := range v.inner {
		if v.isObject() && (i%2 == 0 || v.inner[i-1].unquoted() == "app") {
			continue // keys; and capabilities are in the words of others
		}
		r.warnOfCapitals(&v.inner[i])
	}
	if v.isText() && len(r.warns) < maxErrors {
		r.warnOfCapital(item{v.name(), v.at})
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
