package policy

import (
	"strings"

	"github.com/tailscale/hujson"
)

// member is one key of an object with its value.
type member struct {
	key   string // as it stands in the file, without the blanks around it
	at    int    // offset of the key
	value *hujson.Value
	name  string // the key of ours that it is; empty in an object whose keys are names
}

// members gives the members of an object in the file's order; of null, none.
func (r *reader) members(v *hujson.Value, what string) []member {
	inner, ok := v.Value.(*hujson.Object)
	if !ok {
		r.expect(v, what, "an object")
		return nil
	}
	all := make([]member, len(inner.Members))
	for i := range inner.Members {
		m := &inner.Members[i]
		all[i] = member{key: strings.TrimSpace(r.unquoted(&m.Name)), at: m.Name.StartOffset, value: &m.Value}
	}
	return all
}

// object is what an object of ours says, each name once. There are few, so that going
// through them is quicker than a map of them.
type object []member

func (o object) get(name string) (m member, ok bool) {
	for i := range o {
		if o[i].name == name {
			return o[i], true
		}
	}
	return member{}, false
}

// member is get of a name that may be missing: the value is nil then.
func (o object) member(name string) member {
	m, _ := o.get(name)
	return m
}

// rename has a member go by another name.
func (o object) rename(old, name string) {
	for i := range o {
		if o[i].name == old {
			o[i].name = name
		}
	}
}
