package node

import (
	"context"

	"github.com/cordonmesh/cordon/node/internal/stepup"
	"github.com/cordonmesh/cordon/node/local"
)

func (m *mesh) newStepUps() *stepup.Opener {
	return stepup.New(stepup.Options{Begin: m.beginStepUp, Await: m.awaitStepUp, Now: m.node.clock.Now, Log: m.log})
}

// stepUp opens a sign-in if one gives what a flow was refused for, and tells whether
// it may have. One that a person began is the one: a second link beside it would
// only confuse them.
func (m *mesh) stepUp(ctx context.Context, s *local.Status, who asker) bool {
	if s.Login != nil || !s.Coordinator.Connected || s.Shared && who.all {
		return false
	}
	proof, wanted := stepup.Wanted(s, m.node.clock.Now())
	if wanted {
		m.stepUps.Offer(ctx, who.seat, proof)
	}
	return wanted
}

func (m *mesh) beginStepUp(ctx context.Context, seat string, proof stepup.Proof) (string, error) {
	l, err := m.openLogin(ctx, seat, local.LoginRequest{Afresh: proof.Afresh, ACR: proof.ACR})
	if err != nil {
		return "", err
	}
	return l.ID, nil
}

// awaitStepUp sees a sign-in end that nobody else waits for, and tells whether it was
// in vain: the provider does not give the level that was asked for. The map brings what it gave, and with that
// the flow opens.
func (m *mesh) awaitStepUp(ctx context.Context, id string) (vain bool) {
	o, err := m.follower.AwaitLogin(ctx, id)
	if ctx.Err() != nil && err != nil {
		return false
	}
	m.loginEnded(id)
	if err != nil {
		m.log.Warn("the end of a sign-in could not be heard", "error", err)
		return false
	}
	m.log.Info("a sign-in ended", "how", o.State, "reason", o.Reason, "user", o.Session.User, "until", o.Session.Until)
	return o.Below
}
