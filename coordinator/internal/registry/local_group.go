package registry

import (
	"fmt"
	"slices"
	"strings"
)

// localPrefix stands before a group of the coordinator's own in the policy. An issuer's
// groups have another, so whoever administers these gives nobody a group that a provider
// or a directory names, whatever either calls it.
//
// Before there was this prefix such groups stood under groupPrefix. Who was given one
// then keeps it, until their groups are next said: to rename it where it is read back
// would take from a ward what its policy grants to that name, and lift what it forbids.
const localPrefix = "local:"

// localGroups gives groups of the coordinator's own as the policy writes them.
func localGroups(groups []string) ([]string, error) {
	var all []string
	for _, group := range groups {
		for _, prefix := range []string{localPrefix, groupPrefix, "scim:", "group:"} {
			if strings.HasPrefix(group, prefix) {
				return nil, invalid("group", group, fmt.Sprintf("a name without %s: the policy calls NAME %sNAME", prefix, localPrefix))
			}
		}
		all = append(all, localPrefix+group)
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}

// grouped gives a person of the coordinator's own with groups of ours. Those that a
// directory gives are its alone, and what it says next brings none of ours back.
func (s *State) grouped(u User, groups []string) User {
	if u.Provision == nil {
		u.Groups = groups
		return u
	}
	p := *u.Provision
	p.Claimed, u.Provision = groups, &p
	return s.with(u, p)
}

// OldGroups gives the logins of people of the coordinator's own who have a group from
// before these had a prefix of their own, by login.
func (s *State) OldGroups() (logins []string) {
	for u := range s.Users() {
		if u.Issuer == LocalIssuer && slices.ContainsFunc(u.claimed(), func(g string) bool { return strings.HasPrefix(g, groupPrefix) }) {
			logins = append(logins, u.Login)
		}
	}
	slices.Sort(logins)
	return logins
}
