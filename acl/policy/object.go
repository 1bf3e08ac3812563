package policy

// member is one key of an object with its value.
type member struct {
	key   string // as it stands in the file, without the blanks around it
	at    int    // offset of the key
	value *value
	name  string // the key of ours that it is; empty in an object whose keys are names
}

// members gives the members of an object in the file's order; of null, none.
func (r *reader) members(v *value, what string) []member {
	if !v.isObject() {
		r.expect(v, what, "an object")
		return nil
	}
	all := r.inObjects.list(len(v.inner) / 2)
	for i := 0; i < len(v.inner); i += 2 {
		key := &v.inner[i]
		all = append(all, member{key: key.name(), at: key.at, value: &v.inner[i+1]})
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
