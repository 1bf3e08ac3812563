package coordinator

import (
	"net"
	"time"

	"github.com/cordonmesh/cordon/coordinator/internal/auth/oidc"
	"github.com/cordonmesh/cordon/coordinator/internal/auth/signin"
	"github.com/cordonmesh/cordon/coordinator/internal/auth/standing"
	"github.com/cordonmesh/cordon/coordinator/internal/registry"
)

// Stand takes what became of a proof by which a provider may be asked again, and
// gives how many sessions it is asked for then.
func Stand(p *oidc.Provider, who registry.Identity, r registry.Result, err error) int {
	a := &assembly{Config: Config{Now: time.Now}, provider: p}
	a.watching = standing.NewWatch(a.standing(p), a.asking(p))
	a.stand(who, r, err)
	return a.watching.Stats().Watched
}

// ReadSettings gives the URL in a state directory's settings.
func ReadSettings(dir string) (url string, err error) {
	s, err := readSettings(dir)
	return s.URL, err
}

// CertificateNames gives what the coordinator's certificate is for, with settings of that URL.
func CertificateNames(url string) int {
	names, addresses := settings{URL: url}.names()
	return len(names) + len(addresses)
}

// Patient gives what the coordinator listens with.
func Patient() *net.ListenConfig { return patient() }

// Asked gives what a provider is asked in a sign-in.
func Asked(a signin.Attempt) oidc.Attempt { return desked{}.attempt(a) }
