package wire

import (
	"cmp"
	"slices"
	"time"
)

// Session is one person, signed in at one node. Times are whole seconds.
type Session struct {
	ID    string
	User  string    // login, as the policy names people
	At    time.Time // when the person last proved who they are (auth_time of OpenID Connect Core section 2)
	Until time.Time // exclusive
	AMR   []string  // how (RFC 8176), sorted
	ACR   string    // at which level, in the provider's words; may be empty
	Seat  string    // the account of the operating system whose session it is; empty: the whole machine's
}

// Proto gives s as it travels.
func (s Session) Proto() *SessionRecord {
	return &SessionRecord{Id: s.ID, User: s.User, At: secondsDown(s.At), Until: secondsDown(s.Until),
		Amr: sorted(s.AMR, cmp.Compare[string]), Acr: s.ACR, Seat: s.Seat}
}

func sessionsProto(in []Session) (out []*SessionRecord) {
	for _, s := range slices.SortedFunc(slices.Values(in), compareSession) {
		out = append(out, s.Proto())
	}
	return out
}

func compareSession(a, b Session) int { return cmp.Compare(a.ID, b.ID) }

// ParseSession gives the typed form of s. It fails with [ErrMalformed].
func ParseSession(s *SessionRecord) (Session, error) {
	var d decoder
	r := Session{ID: s.GetId(), User: s.GetUser(), At: d.moment(s.GetAt()), Until: d.moment(s.GetUntil()),
		AMR: decodeWords[string](&d, "amr", s.GetAmr()), ACR: s.GetAcr(), Seat: s.GetSeat()}
	d.check(isWord(r.ID), "id %q is not a word", clip(r.ID))
	d.check(isWord(r.User), "user %q is not a login", clip(r.User))
	d.check(r.ACR == "" || isWord(r.ACR), "acr %q is not a word", clip(r.ACR))
	d.check(r.Seat == "" || isWord(r.Seat), "seat %q is not a word", clip(r.Seat))
	return r, d.of("session")
}

func (d *decoder) sessions(in []*SessionRecord) []Session {
	return decodeList(d, "sessions", in, compareSession, ParseSession)
}
