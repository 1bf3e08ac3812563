// Package standing watches whether the provider still stands by those whom it signed
// in: it is told, by OpenID Connect Back-Channel Logout 1.0, and it asks, by the
// refresh tokens of those who are signed in.
//
// Its promises:
//
//   - Only the provider's clear word ends sessions. One that is away, errs or cannot
//     be understood ends none, and is complained of in the log and the metrics.
//   - A logout token counts once. Whoever brings anything else, as anybody may, costs
//     little, and is told little.
//   - It holds no secret: what the provider is asked with stays with its own package.
//
// What a session is, and what ends with it, is the registry's.
package standing

import (
	"context"
	"log/slog"
	"time"

	"github.com/cordonmesh/cordon/coordinator/internal/registry"
)

// LogoutPath is where the provider tells that it ended a session.
const LogoutPath = "/login/backchannel"

// Logout is what a provider told: that it no longer stands by a session of its own
// (SID), or by any of a person's (Subject); one of the two may be empty.
type Logout struct {
	ID, Subject, SID string
	Until            time.Time // it must not count again before
}

// Config of the watch.
type Config struct {
	Read func(ctx context.Context, token string) (Logout, error)
	Do   func(ctx context.Context, c registry.Command) (registry.Result, error)

	Issuer string
	Now    func() time.Time
	Log    *slog.Logger
}

// end signs out whom the provider named.
func (c *Config) end(ctx context.Context, subject, sid string) error {
	r, err := c.Do(ctx, registry.SignOut{Issuer: c.Issuer, Subject: subject, SID: sid})
	if err == nil {
		c.Log.Info("the provider signed somebody out", "subject", subject, "sessions", r.Ended)
	}
	return err
}
