package policy

import (
	"slices"
	"strings"
)

// isVirtual tells whether a name is a virtual service's: the dialect has them, and no
// mesh of ours does yet.
func isVirtual(name string) bool { return strings.HasPrefix(name, "svc:") }

// leadsNowhere warns of a destination that is a virtual service.
func (r *ruleReader) leadsNowhere(it item) {
	r.warn(it.at, it.text, "leads nowhere: there are no virtual services here")
}

// forbiddable gives of some destinations those that are none, and refuses the others.
// Whoever forbids one believes it shut, and no file brings that along: forbid is a key
// of ours.
func (r *ruleReader) forbiddable(dst []item) []item {
	return slices.DeleteFunc(slices.Clone(dst), func(it item) bool {
		virtual := isVirtual(it.text)
		if virtual {
			r.failAt(it.at, "dst", it.text, judge("there are no virtual services here, so this forbids nothing", "name the machines behind it by a tag"))
		}
		return virtual
	})
}
