package policy

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// insteadOf says how to write a value that is not of the kind that it must be.
func insteadOf(v *value, kind string) string {
	switch {
	case kind == "a list" && (v.isText() || v.isNumber()):
		return "write [" + shorten(v.text) + "]"
	case kind == "a list":
		return "write it in brackets, [ ]"
	case kind == "an object":
		return `write it in braces, {"KEY": ...}`
	case v.isNumber():
		return `write "` + shorten(v.text) + `", in quotes`
	case v.isList() && len(v.inner) == 1 && v.inner[0].isText():
		return "write " + shorten(v.inner[0].text) + ", without brackets"
	case v.isList() && len(v.inner) > 1:
		return "write one of them, without brackets"
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
		var meant []string
		for _, prefix := range []string{"group:", "tag:", "seg:", "ipset:"} {
			bare := name
			if kind, rest, found := strings.Cut(name, ":"); found && strings.HasPrefix(kind+"s", prefix[:len(prefix)-1]) {
				bare = rest // segment:ehr, groups:it
			}
			if n.defines(prefix + bare) {
				meant = append(meant, fmt.Sprintf("%q", prefix+bare))
			}
		}
		if len(meant) > 0 {
			return "did you mean " + strings.Join(meant, " or ") + "?"
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
	return group || segment || set || n.tags[TagName(name)]
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
	if last := text[strings.LastIndexByte(text, ':')+1:]; services[last].Name != "" {
		return fmt.Sprintf("write %q", "service:"+last)
	}
	left, right, _ := strings.Cut(strings.ReplaceAll(text, "/", " "), " ")
	for _, turned := range []string{left + ":" + right, right + ":" + left} {
		if _, bad := grantService(nil, turned); bad == nil {
			return fmt.Sprintf("write %q", turned)
		}
	}
	return ""
}
