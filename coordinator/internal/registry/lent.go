package registry

import (
	"fmt"
	"slices"
	"strings"
)

// lent refuses what is another's to give: a login for which machines or tokens wait, and
// groups that an issuer names, beyond those that the person has. Whoever may add people
// could else add the head physician, whom the provider knows and who has not come yet,
// with all that rules give them. An operator at the coordinator itself may.
func (d *decision) lent(login string, groups, has []string) error {
	if d.actor == System || strings.HasPrefix(string(d.actor), string(Operator(""))) {
		return nil
	}
	what := ""
	if login != "" && d.awaited(login) {
		what = "the login " + login + " is that of machines or tokens"
	}
	for _, group := range policyGroups(groups) {
		if !slices.Contains(has, group) && d.issued(group) {
			what = fmt.Sprintf("the group %s is an issuer's to give", group)
		}
	}
	if what == "" {
		return nil
	}
	return d.refuse("local.lend", shorten(login), fmt.Errorf("%w: %s: ask an operator at the coordinator itself", ErrUser, what))
}

// awaited tells whether a machine, or a token for one, is in the name of a login.
func (d *decision) awaited(login string) bool {
	for n := range d.state.Nodes() {
		if n.Owner() == login {
			return true
		}
	}
	return slices.ContainsFunc(d.state.Tokens(), func(t *Token) bool { return t.User == login && t.Live(d.now) == nil })
}

// issued tells whether somebody has a group by an issuer's word.
func (d *decision) issued(group string) bool {
	for u := range d.state.Users() {
		if u.Issuer != LocalIssuer && slices.Contains(u.Groups, group) {
			return true
		}
	}
	return false
}
