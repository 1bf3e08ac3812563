package scim

import (
	"fmt"
	"slices"
	"strings"
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

func errHidden(name string) error {
	return fmt.Errorf("the name %.64q is none that is known, though there is one in it", name)
}

// hidden gives a name that is not known and in which something stands that decides. A name
// with its schema before it is one of a patch alone.
func hidden(value map[string]any, group, patch bool) (string, bool) {
	for name, v := range value {
		inside, isObject := v.(map[string]any)
		if plain := trimSchema(name) == name || patch; plain && isKept(name, group) && !strings.ContainsAny(name, "[(") {
			continue
		}
		if means(name, group) || isObject && holds(inside, group) {
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
