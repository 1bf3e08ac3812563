package coordinator

import (
	"context"
	"crypto/rand"
	"net/http"
	"strings"

	"github.com/cordonmesh/cordon/coordinator/admin"
	"github.com/cordonmesh/cordon/coordinator/internal/auth/signin"
	"github.com/cordonmesh/cordon/coordinator/internal/registry"
	"github.com/cordonmesh/cordon/coordinator/wire"
)

// What becomes of a machine that joins by its person's sign-in: SignIn.Join.
const (
	JoinOff     = "off"     // no machine joins so
	JoinApprove = "approve" // it waits for an admin
	JoinOpen    = "open"    // it is in at once
)

func (s *SignIn) validateJoin() error {
	switch {
	case s.Join != "" && s.Join != JoinOff && s.Join != JoinApprove && s.Join != JoinOpen:
		return notAllowed("join-by-login", s.Join, "off, approve or open")
	case !s.people() && s.Join != "" && s.Join != JoinOff:
		return notAllowed("join-by-login", s.Join, "off, where nobody can sign in: there is neither an oidc-issuer nor local-people")
	}
	return nil
}

// joins tells whether machines join by a sign-in. Where people can sign in they do,
// and wait for an admin, unless somebody says otherwise.
func (s *SignIn) joins() bool { return s.people() && s.Join != JoinOff }

// people tells whether people can sign in.
func (s *SignIn) people() bool { return s.Issuer != "" || s.Local }

func (a *assembly) joinMachine(ctx context.Context, m registry.Machine, who registry.Identity) (signin.Joined, error) {
	r, err := a.registry.Do(ctx, registry.UserActor(who.Login), registry.Join{
		Machine: m, Approved: a.SignIn.Join == JoinOpen, Session: a.newSession(wire.NodeID(m.Key), who),
	})
	a.stand(who, r, err)
	if err != nil {
		return signin.Joined{}, err
	}
	return signin.Joined{Login: r.Node.User, Waits: !r.Node.Approved}, nil
}

func (a *assembly) newSession(node string, who registry.Identity) registry.BeginSession {
	life := a.SignIn.Life
	if life == 0 {
		life = sessionLife
	}
	who.ByLogin = a.SCIM.Match == matchLogin
	return registry.BeginSession{ID: "s-" + strings.ToLower(rand.Text()[:16]), Node: node, Who: who, Life: life, DeviceLife: a.SignIn.deviceLife()}
}

// forRoot tells whether a request asks for the fingerprint of the mesh root, as a
// machine does that shall join and was given none. It takes the answer from nobody
// but the owner of the URL's host, by the certificate that browsers see.
func (a *assembly) forRoot(r *http.Request) bool {
	return a.desk != nil && a.SignIn.joins() && r.URL.Path == wire.RootPath && r.Method == http.MethodGet &&
		r.TLS != nil && r.TLS.ServerName != wire.NodeServerName && r.TLS.ServerName != admin.ServerName
}

func (a *assembly) serveRoot(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	_, _ = w.Write([]byte(a.authority.Fingerprint().String() + "\n"))
}
