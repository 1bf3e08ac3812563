package coordinator

import (
	"net/http"
	"strings"

	"github.com/cordonmesh/cordon/coordinator/admin"
	"github.com/cordonmesh/cordon/coordinator/internal/registry"
	"github.com/cordonmesh/cordon/coordinator/internal/scim"
	"github.com/cordonmesh/cordon/coordinator/wire"
)

// SCIM says whether a directory provisions people and groups, by SCIM 2.0 on the TLS
// port below /scim/v2, with an admin token of the scope scim.
type SCIM struct {
	On bool

	// Match says whose record one is: "subject" (the default), if its externalId is the
	// subject of whoever signs in; "claim:NAME", if it is that claim of theirs; "login",
	// if the login is its userName. By login alone, whoever is given a former colleague's
	// address is that colleague.
	Match string
}

const (
	matchSubject = "subject"
	matchLogin   = "login"
	matchClaim   = "claim:"
)

// claim gives the claim that says what a directory calls a person; empty: the subject.
func (s *SCIM) claim() string {
	name, _ := strings.CutPrefix(s.Match, matchClaim)
	if name == s.Match {
		return ""
	}
	return name
}

func (s *SCIM) validate(signIn *SignIn) error {
	switch {
	case s.Match != "" && s.Match != matchSubject && s.Match != matchLogin && s.claim() == "":
		return notAllowed("scim-match", s.Match, "subject, claim:NAME or login")
	case s.On && signIn.Issuer == "":
		return notAllowed("scim", "true", "oidc-issuer too: people whom a directory provisions sign in there")
	}
	return nil
}

func (s *SCIM) matching(issuer string) registry.Matching {
	return registry.Matching{Issuer: issuer, Claim: s.claim() != "", Login: s.Match == matchLogin}
}

// openDirectory opens the door of the directory, if there is one.
func (a *assembly) openDirectory() (err error) {
	if a.SCIM.On {
		a.directory, err = scim.New(scim.Config{Registry: a.registry, URL: strings.TrimSuffix(a.settings.URL, "/"),
			Match: a.SCIM.matching(a.SignIn.Issuer), Now: a.Now, Log: a.Log})
	}
	return err
}

// forDirectory tells whether a request is the directory's, which comes as a stranger
// to the TLS port: it knows neither nodes' nor operators' names for it.
func (a *assembly) forDirectory(r *http.Request) bool {
	return a.directory != nil && strings.HasPrefix(r.URL.Path, scim.Prefix) &&
		r.TLS != nil && r.TLS.ServerName != wire.NodeServerName && r.TLS.ServerName != admin.ServerName
}
