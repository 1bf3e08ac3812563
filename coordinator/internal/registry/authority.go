package registry

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Authorised is a command that its actor may give only while one of Scopes is
// theirs. The edge looked before; but roles are taken while commands wait.
type Authorised struct {
	Scopes  []string // each is enough
	Command Command
}

func (c Authorised) decide(d *decision) error {
	held, bounded := d.held()
	if bounded && !slices.ContainsFunc(c.Scopes, func(s string) bool { return slices.Contains(held, s) }) {
		return d.refuse("admin.refuse", string(d.actor), fmt.Errorf("%w: %s has none of the scopes %v any more", ErrForbidden, d.actor, c.Scopes))
	}
	return c.Command.decide(d)
}

// tokenOf gives the id of the admin token that an actor came with, if it did.
func tokenOf(actor Actor) (id string, came bool) {
	if id, came = strings.CutPrefix(string(actor), string(TokenActor(""))); came {
		return id, true
	}
	if rest, isAdmin := strings.CutPrefix(string(actor), adminPrefix); isAdmin {
		return rest[strings.LastIndexByte(rest, '/')+1:], true
	}
	return "", false
}

// actorToken gives the admin token that the actor came with, if it came with one.
func (d *decision) actorToken() (t *Token, came bool) {
	id, came := tokenOf(d.actor)
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
	return d.state.TokenLive(t, d.now)
}

// held gives the scopes of an actor who came with a token. Others are bounded by
// their channel: the coordinator itself, whoever is root there, a node.
func (d *decision) held() (scopes []string, bounded bool) {
	t, came := d.actorToken()
	if !came {
		return nil, false
	}
	return d.state.TokenScopes(t, d.roleScopes), true
}

// lacks gives a scope that is needed and not held, or nothing.
func lacks(held, needed []string) string {
	for _, scope := range needed {
		if !slices.Contains(held, scope) {
			return scope
		}
	}
	return ""
}

// mustHold refuses an actor who lacks one of the scopes.
func (d *decision) mustHold(needed []string, action, object, what string) error {
	held, bounded := d.held()
	if scope := lacks(held, needed); bounded && scope != "" {
		return d.refuse(action+".refuse", object, fmt.Errorf("%w: %s lacks the scope %s and cannot %s", ErrForbidden, d.actor, scope, what))
	}
	return nil
}

// mayGive refuses an admin token that could do more, or for longer, than the one
// that asks for it: the right to make tokens would else be the right to everything.
func (d *decision) mayGive(t *Token) error {
	own, came := d.actorToken()
	if !came {
		return nil
	}
	if scope := lacks(d.state.TokenScopes(own, d.roleScopes), d.state.TokenScopes(t, d.roleScopes)); scope != "" {
		return d.refuse("token.create.refuse", own.ID,
			fmt.Errorf("%w: token %s lacks the scope %s and cannot give it on; ask an operator at the coordinator", ErrToken, own.ID, scope))
	}
	if t.Expires.After(own.Expires) {
		return d.refuse("token.create.refuse", own.ID,
			fmt.Errorf("%w: token %s ends at %s and cannot make one that lives longer", ErrToken, own.ID, own.Expires.UTC().Format(time.RFC3339)))
	}
	return nil
}

// mayEnd refuses to revoke an admin token that can do more than the actor's own.
func (d *decision) mayEnd(t *Token) error {
	return d.mustHold(d.state.TokenScopes(t, d.roleScopes), "token.revoke", t.ID, "end what has it")
}
