package policy

import (
	"fmt"
	"strings"
)

// when reads what a rule asks for beside who asks for what, or the floor of a
// segment: {"mfa", "posture", "schedule", "oncall", "risk", "session", "idle"}.
func (r *ruleReader) when(fields object, key string) When {
	inner, ok := r.narrowing(fields, key, whenKeys)
	if !ok {
		return When{}
	}
	inner = r.formed(inner, whenForms())
	w := When{
		MFA:      r.mfa(inner),
		Postures: r.knownPostures(inner.member("posture"), r.oneOrMore(inner, "posture")),
		Schedule: lookup(r.reader, inner, "schedule", "schedules", r.names.schedules),
		OnCall:   lookup(r.reader, inner, "oncall", "oncall", r.names.oncall),
		Risk:     r.risk(inner),
	}
	r.together(inner.member("posture"), w.Postures)
	kind, idle := r.sign(inner), r.period(inner, "idle")
	if kind != "" || idle > 0 {
		w.Session = &Session{Kind: kind, Idle: idle}
	}
	return w
}

// mfa reads {"within", "amr", "acr"}.
func (r *ruleReader) mfa(fields object) *MFA {
	inner, ok := r.within(fields, "mfa", mfaKeys)
	if !ok {
		return nil
	}
	inner = r.formed(inner, mfaForms())
	return &MFA{Within: r.period(inner, "within"), AMR: r.methods(inner), ACR: r.token(inner, "acr")}
}

// maxMethods is how many methods of a login one rule may list.
const maxMethods = 16

// methods reads the methods of which one must have been used. One that nobody
// registered may be an identity provider's own, or mistyped: then nobody comes in.
func (r *reader) methods(fields object) []string {
	items := r.list(fields, "amr")
	if len(items) > maxMethods {
		r.fail(fields.member("amr").at, "amr", complain(fmt.Sprintf("lists more than %d methods", maxMethods), "leave out the weaker ones"))
		return nil
	}
	known := make(map[string]bool)
	if len(items) == 0 {
		return nil
	}
	for _, name := range strings.Fields("face fpt geo hwk iris kba mca mfa otp pin pop pwd rba retina sc sms swk tel user vbm wia") {
		known[name] = true
	}
	var all []string
	for _, it := range items {
		if bad := checkToken(it.text); bad != nil {
			r.failAt(it.at, "amr", it.text, bad)
			continue
		}
		if !known[it.text] && len(r.warns) < maxErrors {
			why := "is no method that RFC 8176 lists; it holds only if your identity provider says it"
			if near := nearest(it.text, known); near != "" {
				why += fmt.Sprintf("; did you mean %q?", near)
			}
			r.warn(it.at, it.text, why)
		}
		all = append(all, it.text)
	}
	return all
}

// sign reads by what a person shows that they are at the device. One that nobody gives is
// mistyped, or another system's: then nobody comes in.
func (r *reader) sign(fields object) string {
	kind := r.token(fields, "session")
	known := map[string]bool{"login": true, "tap": true}
	if it, ok := r.word(fields, "session"); ok && !known[kind] && len(r.warns) < maxErrors {
		why := "is no sign that this version knows, which are login and tap; it holds only if a device tells of it"
		if near := nearest(kind, known); near != "" {
			why += fmt.Sprintf("; did you mean %q?", near)
		}
		r.warn(it.at, it.text, why)
	}
	return kind
}

// token reads a word that comes from another system.
func (r *reader) token(fields object, key string) string {
	it, ok := r.word(fields, key)
	if !ok {
		return ""
	}
	if bad := checkToken(it.text); bad != nil {
		r.failAt(it.at, key, it.text, bad)
	}
	return it.text
}

// checkToken keeps words apart from the signs between them in a fact.
func checkToken(text string) *complaint {
	if text == "" || len(text) > maxName || strings.Contains(text, "|") || !printable(text) {
		return complain(fmt.Sprintf("is no word of 1 to %d characters without blanks and |", maxName), "write it as your identity provider does")
	}
	return nil
}

// risk reads "<70".
func (r *reader) risk(fields object) *int {
	it, ok := r.word(fields, "risk")
	if !ok {
		return nil
	}
	bound, isBelow := strings.CutPrefix(it.text, "<")
	n, isNumber := number(strings.TrimSpace(bound), 100)
	if !isBelow || !isNumber || n == 0 {
		r.failAt(it.at, "risk", it.text, complain("is no bound of a risk from 0 to 100", `write "<70"`))
		return nil
	}
	return &n
}

// asksPeople tells whether a condition is about people, which binds no machine.
func (w When) asksPeople() bool { return w.MFA != nil || w.OnCall != "" || w.Session != nil }
