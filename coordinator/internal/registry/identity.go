package registry

import "time"

// Identity is who a person is, as a provider proved it at a moment. Issuer and
// Subject alone say who it is: a login may pass from one person to another, and
// is what the policy names people by.
type Identity struct {
	Issuer  string // of OpenID Connect, or LocalIssuer
	Subject string // unique at the issuer, and never given to another person

	Login  string   // lower-case; an address of mail only if the issuer verified it
	Name   string   // for people; may be empty
	Groups []string // at the issuer, as it spells them

	// External is what a directory that provisions people calls this one; empty: the
	// provider does not say. With ByLogin the login alone tells whose record it is.
	External string
	ByLogin  bool

	SID string // of the session at the provider, which can end it by that; may be empty

	// Standing is the name by which the provider can be asked whether it still stands by
	// the person; empty: it cannot. It is no secret, and means nothing after a restart.
	Standing string

	Heard time.Time // when the provider gave its word, which it may have taken back since

	At      time.Time // when the person last proved who they are
	Undated bool      // the issuer does not say when, and At is when it told us
	AMR     []string  // how (RFC 8176)
	ACR     string    // at which level, in the issuer's words; may be empty

	Generation uint64 // of LocalIssuer: see Local
}
