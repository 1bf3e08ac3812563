package registry

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// actorToken gives the admin token that the actor came with, if it came with one.
func (d *decision) actorToken() (t *Token, came bool) {
	id, came := strings.CutPrefix(string(d.actor), string(TokenActor("")))
	if came {
		t, _ = d.state.Token(id)
	}
	return t, came
}

// stillMay asks again, where changes are decided one after another, whether the
// actor's token is good: between the edge, which looked, and here it may have
// been revoked, and be what the actor is trying to undo.
func (d *decision) stillMay() error {
	t, came := d.actorToken()
	switch {
	case !came:
		return nil
	case t == nil || t.Kind != AdminToken:
		return fmt.Errorf("%w: %s is no admin token", ErrToken, d.actor)
	}
	return t.Live(d.now)
}

// mayGive refuses an admin token that could do more, or for longer, than the one
// that asks for it: the right to make tokens would else be the right to everything.
func (d *decision) mayGive(t *Token) error {
	own, came := d.actorToken()
	if !came {
		return nil
	}
	for _, scope := range t.Scopes {
		if !slices.Contains(own.Scopes, scope) {
			return d.refuse("token.create.refuse", own.ID,
				fmt.Errorf("%w: token %s lacks the scope %s and cannot give it on; ask an operator at the coordinator", ErrToken, own.ID, scope))
		}
	}
	if t.Expires.After(own.Expires) {
		return d.refuse("token.create.refuse", own.ID,
			fmt.Errorf("%w: token %s ends at %s and cannot make one that lives longer", ErrToken, own.ID, own.Expires.UTC().Format(time.RFC3339)))
	}
	return nil
}
