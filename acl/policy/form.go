package policy

import (
	"slices"
	"strings"
)

// form is how a condition is written: of what JSON kind, and what to write in place of
// another one.
type form struct {
	is   func(*value) bool
	kind string
	fix  func(*value) string
}

func whenForms() map[string]form {
	return map[string]form{
		"mfa":      {(*value).isObject, "an object", always(`write such as {"within": "12h"}; its keys are acr, amr and within`)},
		"posture":  {func(v *value) bool { return v.isText() || v.isTexts() }, "a list of names", nameOf("postures")},
		"schedule": {(*value).isText, "a string", nameOf("schedules")},
		"oncall":   {(*value).isText, "a string", nameOf("oncall")},
		"risk":     {(*value).isText, "a string", bound},
		"session":  {(*value).isText, "a string", text(`write "login"`)},
		"idle":     {(*value).isText, "a string", text(`write such as "10m"`)},
	}
}

func mfaForms() map[string]form {
	return map[string]form{
		"within": {(*value).isText, "a string", text(`write such as "12h"`)},
		"amr":    {(*value).isTexts, "a list of texts", methodList},
		"acr":    {(*value).isText, "a string", class},
	}
}

func always(fix string) func(*value) string { return func(*value) string { return fix } }

// text says how to write a string, but of a list of strings that one of them is meant.
func text(fix string) func(*value) string {
	return func(v *value) string {
		if v.isTexts() {
			return insteadOf(v, "a string")
		}
		return fix
	}
}

func nameOf(section string) func(*value) string {
	return text(`define it under "` + section + `", and write its name here`)
}

// class takes a number for a class of logins that has one for a name.
func class(v *value) string {
	if v.isNumber() {
		return insteadOf(v, "a string")
	}
	return text(`write a text in quotes, as "phr"`)(v)
}

// bound takes a number for the bound that is likely meant.
func bound(v *value) string {
	if n, ok := number(v.text, 100); ok && n > 0 {
		return `write "<` + v.text + `"`
	}
	return text(`write such as "<70"`)(v)
}

func methodList(v *value) string {
	if v.isText() {
		return insteadOf(v, "a list")
	}
	return `write such as ["hwk"]`
}

// isTexts tells whether a value is a list of strings.
func (v *value) isTexts() bool {
	return v.isList() && !slices.ContainsFunc(v.inner, func(one value) bool { return !one.isText() })
}

// formed gives those conditions that are of the kind that they must be, and says of each
// other one what to write.
func (r *ruleReader) formed(fields object, forms map[string]form) (sound object) {
	for _, m := range fields {
		switch f := forms[m.name]; {
		case m.value.isBlank():
			r.hollow(m, orWithout)
		case !f.is(m.value):
			r.fail(m.value.at, m.value.shown(), complainWhole(`"`+m.name+`" must be `+f.kind, f.fix(m.value)))
		default:
			sound = append(sound, m)
		}
	}
	return sound
}

// said refuses those of some keys, which are to narrow something, that stand there without
// a value, as when a template had none: nobody said what is asked for, and it would be
// nothing.
func (r *ruleReader) said(fields object, keys ...string) {
	for _, key := range keys {
		r.filled(fields, key, orWithout)
	}
}

const orWithout = "say what is asked for, or take the key out"

// filled is said of one key, which must be there.
func (r *ruleReader) filled(fields object, key, fix string) {
	if m, ok := fields.get(key); ok && m.value.isBlank() {
		r.hollow(m, fix)
	}
}

// notNull refuses those of some keys that are null, as said does: what else is empty in
// their place is refused by what it lacks.
func (r *ruleReader) notNull(fields object, keys ...string) {
	for _, key := range keys {
		if m, ok := fields.get(key); ok && m.value.isNull() {
			r.hollow(m, orWithout)
		}
	}
}

// narrowing is within of what is to narrow something, and is refused where it says nothing.
func (r *ruleReader) narrowing(fields object, key string, known func() keys) (inner object, ok bool) {
	if m, written := fields.get(key); written && m.value.isBlank() {
		r.hollow(m, orWithout)
		return nil, false
	}
	return r.within(fields, key, known)
}

// hollow refuses what is empty, unless it stands under another key that was taken for
// this one, which is told.
func (r *ruleReader) hollow(m member, fix string) {
	if !strings.EqualFold(m.key, m.name) {
		return
	}
	r.fail(m.value.at, m.key, judge("is empty, and so would narrow nothing", fix))
}

// isBlank is isEmpty, also of a string of blanks.
func (v *value) isBlank() bool { return v.isEmpty() || v.isText() && v.name() == "" }
