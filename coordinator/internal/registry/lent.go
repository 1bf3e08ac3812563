package registry

import (
	"fmt"
	"slices"
)

// lent refuses a login that is another's: for which machines or tokens wait. Whoever may
// add people could else add the head physician, whom the provider knows and who has not
// come yet, with all that rules give them. An operator at the coordinator itself may.
func (d *decision) lent(login string) error {
	if d.actor == System || d.operator() || !d.awaited(login) {
		return nil
	}
	return d.refuse("local.lend", shorten(login), fmt.Errorf("%w: the login %s is that of machines or tokens: ask an operator at the coordinator itself", ErrUser, login))
}

// awaited tells whether a machine, or a token for one, is in the name of a login.
func (d *decision) awaited(login string) bool {
	for n := range d.state.Nodes() {
		if n.Owner() == login {
			return true
		}
	}
	return slices.ContainsFunc(d.state.Tokens(), func(t *Token) bool { return t.User == login && !t.Over(d.now) })
}
