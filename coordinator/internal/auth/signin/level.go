package signin

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/cordonmesh/cordon/coordinator/internal/registry"
)

// A rule may ask for a proof of some level, in the provider's words (acr). Many
// providers give it only if they are asked, so the sign-in that such a rule needs asks.

// maxLevel bounds, in bytes, a level that a node asks for.
const maxLevel = 255

// mayAsk tells what stands against asking for a level.
func (d *Desk) mayAsk(asked Request) error {
	switch {
	case asked.ACR == "":
		return nil
	case len(asked.ACR) > maxLevel || strings.ContainsFunc(asked.ACR, func(r rune) bool { return r <= ' ' || r >= 0x7f }):
		return fmt.Errorf("%w: a level is a word of 1 to %d ASCII characters", ErrNoLevel, maxLevel)
	case d.cfg.Provider == nil:
		return fmt.Errorf("%w: people of the coordinator's own prove none (acr): ask for their methods in the policy (amr)", ErrNoLevel)
	case asked.DeviceCode:
		return fmt.Errorf("%w: a device code asks for none: sign in without --device-code", ErrNoLevel)
	}
	return nil
}

// ofLevel judges whether a proof is of the level that was asked for.
func ofLevel(asked Request, who registry.Identity) error {
	if asked.ACR == "" || who.ACR == asked.ACR {
		return nil
	}
	return fmt.Errorf("%w: %q was asked for, and the proof is of %q: prove who you are at your organisation's own page", ErrBelow, asked.ACR, who.ACR)
}

// fail ends a sign-in for an error, whose text holds none of the secrets then.
func (d *Desk) fail(s *signin, err error, secrets ...string) {
	o := Outcome{State: Refused, Reason: plain(err.Error(), secrets...), Below: errors.Is(err, ErrBelow)}
	d.cfg.Log.Info("a sign-in is refused", "node", s.node, "from", s.from, "reason", o.Reason)
	d.locked(func(time.Time) { s.conclude(o) })
}
