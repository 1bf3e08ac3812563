package coordinator

import (
	"context"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/cordonmesh/cordon/coordinator/internal/auth/oidc"
	"github.com/cordonmesh/cordon/coordinator/internal/auth/signin"
	"github.com/cordonmesh/cordon/coordinator/internal/auth/standing"
	"github.com/cordonmesh/cordon/coordinator/internal/registry"
	"github.com/cordonmesh/cordon/coordinator/internal/warn"
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

// Plain gives what the watch takes an answer of the provider for.
func Plain(err error) error { return plain(err) }

// Lapses gives what is warned of in a mesh after some commands, while the provider is
// asked for the person with a subject and its answer is err each time.
func Lapses(ctx context.Context, c Config, subject string, answer error, commands ...registry.Command) (all []warn.Lapse, err error) {
	a := &assembly{Config: c}
	if err := a.open(ctx); err != nil {
		return nil, err
	}
	defer a.journal.Close()
	ctx, stop := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer stop()
	running.Go(func() { _ = a.registry.Run(ctx) })
	running.Go(func() { _ = a.hub.Run(ctx) })
	for _, command := range commands {
		if _, err := a.registry.Do(ctx, registry.System, command); err != nil {
			return nil, fmt.Errorf("%T: %w", command, err)
		}
	}
	asking := standing.Asking{Every: time.Millisecond, Release: func(string) {}, Live: func(_, _ string) bool { return true },
		Ask: func(context.Context, string) (registry.Identity, error) { return registry.Identity{}, plain(answer) }}
	a.watching = standing.NewWatch(standing.Config{Issuer: c.SignIn.Issuer, Now: c.Now, Log: c.Log}, asking)
	a.watching.Add(standing.Watched{Session: "s", Subject: subject, Standing: "x"})
	running.Go(func() { _ = a.watching.Run(ctx) })
	for len(a.watching.Unread()) == 0 && ctx.Err() == nil {
		time.Sleep(time.Millisecond)
	}
	return a.lapses(ctx), ctx.Err()
}
