package signin

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/cordonmesh/cordon/coordinator/internal/auth/local"
	"github.com/cordonmesh/cordon/coordinator/internal/registry"
)

// markCookie keeps a mark by which a browser is known in which somebody has signed in. It
// opens nothing, and proves nobody: whoever shows it is not among strangers when these
// crowd the desk, and has the few places of the person whose it is.
const markCookie = "__Host-cordon-mark"

// marks draws marks and tells whose they are. A mark is a person's number that says
// nothing to others, when it ends, and an HMAC of both.
type marks struct{ key []byte }

// newMarks takes a key, or draws one: then a coordinator that starts again knows no mark
// from before, and whoever operates it is a stranger among those who crowd it.
func newMarks(key []byte) *marks {
	if len(key) == 0 {
		key = make([]byte, sha256.Size)
		_, _ = rand.Read(key) // never fails: crypto/rand
	}
	return &marks{key}
}

func (m *marks) sum(what, text string) string {
	h := hmac.New(sha256.New, m.key)
	h.Write([]byte(what + "\n" + text))
	return hex.EncodeToString(h.Sum(nil)[:16])
}

func (m *marks) draw(now time.Time, who registry.Identity) string {
	text := m.sum("person", strconv.Quote(who.Issuer)+strconv.Quote(who.Subject)) + "." + strconv.FormatInt(now.Add(local.Remembered).Unix(), 10)
	return text + "." + m.sum("mark", text)
}

// whose gives the number of the person in whose browser a request was made, "" if nobody
// is known there.
func (m *marks) whose(now time.Time, r *http.Request) string {
	c, err := r.Cookie(markCookie)
	if err != nil {
		return ""
	}
	parts := strings.Split(c.Value, ".")
	if len(parts) != 3 || !hmac.Equal([]byte(parts[2]), []byte(m.sum("mark", parts[0]+"."+parts[1]))) {
		return ""
	}
	if until, err := strconv.ParseInt(parts[1], 10, 64); err != nil || now.Unix() >= until {
		return ""
	}
	return parts[0]
}

// mark has a browser keep that somebody signed in there, if so they did: strangers with an
// account at a provider that the whole world has are strangers still.
func (d *Desk) mark(w http.ResponseWriter, s *signin, who registry.Identity) {
	var value string
	d.locked(func(now time.Time) {
		if s.phase == ended && s.outcome.State == Done {
			value = d.marks.draw(now, who)
		}
	})
	if value != "" {
		http.SetCookie(w, &http.Cookie{Name: markCookie, Value: value, Path: "/", MaxAge: int(local.Remembered.Seconds()),
			Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode})
	}
}
