package policy

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// otherwise is what to make of a key that the language does not have and that people
// write all the same.
type otherwise struct {
	key string // the key that it is meant for; empty: there is none
	fix string
}

// writtenOtherwise gives the keys that come from other files, from other products and
// from what one would guess, by the kind of object and in lower case.
func writtenOtherwise(what, key string) (o otherwise, ok bool) {
	key = strings.ToLower(key)
	o, ok = map[string]otherwise{
		"a grant: ports": {key: "ip"}, "a grant: port": {key: "ip"}, "a grant: services": {key: "ip"}, "a grant: service": {key: "ip"},
		"a grant: proto":       {fix: `write it before the ports: "ip": ["tcp:443"]`},
		"a grant: action":      {fix: `remove it: a grant always permits, and "forbid" holds what is never to pass`},
		"an acl: ip":           {fix: `write the ports behind the names: "dst": ["tag:ehr:443"]`},
		"a test: dst":          {key: "accept"},
		"a test: action":       {fix: `write the destinations under "accept" or "deny"`},
		`"when": time`:         {key: "schedule"},
		`"when": hours`:        {key: "schedule"},
		`"given": mfa`:         {key: "mfaAge"},
		"a schedule: timezone": {key: "tz"},
		"a schedule: zone":     {key: "tz"},
		"a schedule: days":     {key: "weekly"},
		"a schedule: hours":    {key: "weekly"},
		"a schedule: times":    {key: "weekly"},
	}[what+": "+key]
	if ok {
		return o, true
	}
	switch key {
	case "comment", "comments", "description", "desc", "note", "notes", "name", "title":
		return otherwise{fix: "write it as a comment, // ..."}, true
	case "enabled", "disabled", "enable", "disable", "active":
		return otherwise{fix: "remove it; what is off stands in a comment, /* ... */"}, true
	}
	return otherwise{}, false
}

// advice says what to do about such a key.
func (o otherwise) advice() string {
	if o.key != "" {
		return fmt.Sprintf("did you mean %q?", o.key)
	}
	return o.fix
}

// insteadOf says how to write a value that is not of the kind that it must be.
func insteadOf(v *value, kind string) string {
	scalar := !v.isList() && !v.isObject()
	switch {
	case kind == "a list" && scalar:
		return "write [" + shorten(v.text) + "]"
	case kind == "a list":
		return "write it in brackets, [ ]"
	case kind == "an object":
		return `write it in braces, {"KEY": ...}`
	case v.isNumber():
		return `write "` + shorten(v.text) + `", in quotes`
	case v.isList() && len(v.inner) == 1 && v.inner[0].isText():
		return "write " + shorten(v.inner[0].text) + ", without brackets"
	}
	return "write a text in quotes"
}

// takes says what keys an object has, if they are few.
func takes(known keys) string {
	const few = 8
	if len(known) > few {
		return insteadOf(&value{text: "{"}, "an object")
	}
	all := slices.Sorted(maps.Keys(known))
	return `write {"KEY": ...}, with the keys ` + strings.Join(all, ", ")
}

// isWithPorts tells whether a name is wrong for the ports behind it alone: in acls and
// in tests they stand there.
func (n *names) isWithPorts(text string) bool {
	i := strings.LastIndexByte(text, ':')
	if i <= 0 || i == len(text)-1 || strings.Trim(text[i+1:], digits+"-,*") != "" {
		return false
	}
	_, bad := n.named(text[:i])
	return bad == nil
}

// unknownHost is about a word that no prefix marks and that is no host.
func (n *names) unknownHost(name string) *complaint {
	switch strings.ToLower(name) {
	case "any", "all", "anyone", "everyone", "everything", "anywhere":
		return complain("is nothing that rules know", "write *")
	}
	if bad := lookalike(name); bad != nil {
		return bad
	}
	c := complainOf("unknown host", name, n.hosts, `define it under "hosts", or write a login with its @`)
	near := c.guess
	c.guess = func() string {
		for _, prefix := range []string{"group:", "tag:", "seg:", "ipset:"} {
			if n.defines(prefix + name) {
				return fmt.Sprintf("did you mean %q?", prefix+name)
			}
		}
		return near()
	}
	return c
}

// defines tells whether a name with its prefix is defined.
func (n *names) defines(name string) bool {
	_, group := n.groups[name]
	_, segment := n.segments[name]
	_, set := n.ipsets[name]
	return group || segment || set || n.tags[name]
}

// behindPrefix gives the known name that a text is without its prefix, or "".
func behindPrefix[V any](text string, known map[string]V) string {
	for _, prefix := range []string{"posture:", "approve:", "ipset:", "tag:"} {
		if _, ok := known[prefix+text]; ok {
			return prefix + text
		}
	}
	return ""
}

// serviceInstead says how to write what opens no port as it stands.
func serviceInstead(text string, services map[string]Service) string {
	text = strings.ToLower(text)
	if text == "any" || text == "all" {
		return "write *"
	}
	if _, ok := services[text[strings.IndexByte(text, ':')+1:]]; ok {
		return fmt.Sprintf("write %q", "service:"+text[strings.IndexByte(text, ':')+1:])
	}
	left, right, _ := strings.Cut(strings.ReplaceAll(text, "/", " "), " ")
	for _, turned := range []string{left + ":" + right, right + ":" + left} {
		if _, bad := grantService(nil, turned); bad == nil {
			return fmt.Sprintf("write %q", turned)
		}
	}
	return ""
}
