package scim

import (
	"slices"
	"strings"

	scimerrors "github.com/elimity-com/scim/errors"
)

// decisive is what decides about people. Where a directory spells it in a way of its own, it
// is told so: to leave it out, as other things that are not kept, would keep a leaver in.
func decisive(group bool) string {
	if group {
		return "members"
	}
	return "active"
}

// means tells whether a path that is not known may mean what decides.
func means(path string, group bool) bool {
	parts := strings.FieldsFunc(strings.ToLower(path), func(r rune) bool { return r < 'a' || r > 'z' })
	return slices.Contains(parts, decisive(group))
}

// weighty are the names that are not to be lost by a slip: what decides, and by what a
// person or a group is known to the policy.
func weighty(group bool) []string {
	if group {
		return []string{"members", "displayname", "externalid"}
	}
	return []string{"active", "username", "externalid"}
}

// otherwise are names that other systems have for whether a person is active.
func otherwise() []string {
	return []string{"isactive", "inactive", "isinactive", "deactivated", "enabled", "isenabled", "disabled", "isdisabled",
		"accountenabled", "accountdisabled", "suspended", "issuspended"}
}

// misspelt tells whether a name that is not known is one letter away from a weighty one, or
// says what decides in other words. Names of extensions are neither, for their schema is a
// part of them: there everybody has names of their own.
func misspelt(path string, group bool) bool {
	if isKept(path, group) {
		return false
	}
	name := strings.Map(func(r rune) rune {
		if r < 'a' || r > 'z' {
			return -1
		}
		return r
	}, strings.ToLower(bare(path)))
	return slices.ContainsFunc(weighty(group), func(w string) bool { return slip(name, w) }) || !group && slices.Contains(otherwise(), name)
}

// slip tells whether two words are the same but for one letter that is missing, too many or
// another, or for two that changed places.
func slip(a, b string) bool {
	for len(a) > 0 && len(b) > 0 && a[0] == b[0] {
		a, b = a[1:], b[1:]
	}
	for len(a) > 0 && len(b) > 0 && a[len(a)-1] == b[len(b)-1] {
		a, b = a[:len(a)-1], b[:len(b)-1]
	}
	return len(a) <= 1 && len(b) <= 1 || len(a) == 2 && len(b) == 2 && a[0] == b[1] && a[1] == b[0]
}

func errHidden(kind scimerrors.ScimType, name string) error {
	return invalid(kind, "the name %.64q is none that is known, and nearly one: nothing was done", name)
}

// hidden gives a name that is not known and in which something stands that decides. A name
// with its schema before it is one of a patch alone.
func hidden(value map[string]any, group, patch bool) (string, bool) {
	for name, v := range value {
		inside, isObject := v.(map[string]any)
		if plain := trimSchema(name) == name || patch; plain && isKept(name, group) && !strings.ContainsAny(name, "[(") {
			continue
		}
		if means(name, group) || misspelt(name, group) || isObject && holds(inside, group) {
			return name, true
		}
	}
	return "", false
}

// holds tells whether a name in an object, or in one inside of it, means what decides.
func holds(value map[string]any, group bool) bool {
	for name, v := range value {
		inside, isObject := v.(map[string]any)
		if means(name, group) || isObject && holds(inside, group) {
			return true
		}
	}
	return false
}
