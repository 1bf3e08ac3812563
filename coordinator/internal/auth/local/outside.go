package local

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"github.com/cordonmesh/cordon/coordinator/internal/registry"
)

// Outside of the mesh there is no machine by which guesses could be counted, and whoever
// guesses has as many addresses as they can rent. So there is another throttle for it:
// what strangers do locks nobody out at a machine of the mesh, and pushes nothing out of
// what is remembered of these. And who has proved
// themselves in a browser gets a word for it to keep, with which they have counts of
// their own too, so that strangers lock nobody out there either.

func (at Place) outside() bool { return at.Node == "" }

// of gives the throttle for a place.
func (g *guard) of(at Place) *throttle {
	if at.outside() {
		return g.outside
	}
	return g.throttle
}

// spot gives where a guess counts. Whose machine it is, theirs alone it is: it has no
// seats, and could make up as many as it has guesses.
func (at Place) spot(known bool) spot {
	if at.outside() || at.Owner != "" {
		return spot{node: at.counted(known)}
	}
	return spot{node: at.Node, seat: at.Seat}
}

// counted names what takes the part of a machine in the counts: the machine, the browser
// that a person is known in, or the address.
func (at Place) counted(known bool) string {
	switch {
	case !at.outside():
		return at.Node
	case known:
		d := sha256.Sum256([]byte(at.Browser))
		return "browser " + hex.EncodeToString(d[:8])
	}
	return "outside " + at.Outside
}

// Remember gives a word for the browser to keep in which a person of the coordinator's
// own has proved who they are. It opens nothing. It counts for a month, and until by what
// they prove themselves is reset.
func (p *People) Remember(who registry.Identity) string {
	text := strconv.FormatInt(p.cfg.Now().Add(Remembered).Unix(), 10) + "." + rand.Text()
	return text + "." + p.sign(registry.LocalID(who.Subject), who.Generation, text)
}

func (p *People) sign(user string, generation uint64, text string) string {
	return hex.EncodeToString(p.cfg.Key.derive("browser", fmt.Sprintf("%s\n%d\n%s", user, generation, text), sha256.Size))
}

// remembers tells whether a browser keeps a word of that person's.
func (p *People) remembers(word string, l *registry.Local) bool {
	i := strings.LastIndexByte(word, '.')
	if i < 0 || len(word) > 256 || !hmac.Equal([]byte(word[i+1:]), []byte(p.sign(l.User, l.Generation, word[:i]))) {
		return false
	}
	end, _, _ := strings.Cut(word, ".")
	until, err := strconv.ParseInt(end, 10, 64)
	return err == nil && p.cfg.Now().Unix() < until
}
