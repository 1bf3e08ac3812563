package policy

import (
	"slices"
	"time"
)

// SSHRule says who may log in to which accounts of which nodes over SSH. No
// rule means no login. The filter is asked besides: a rule here opens no port.
type SSHRule struct {
	Pos   Position
	Check bool       // the person has to prove again who they are
	Src   []Selector // User, Domain, Group, Role, Tag, Member or Tagged
	Dst   []Selector // User, Tag, Self, Member or Tagged
	Users []SSHUser

	// CheckPeriod is how long a proof lasts; zero means that every login wants a
	// new one, and DefaultCheckPeriod that nothing was written.
	CheckPeriod time.Duration
	AcceptEnv   []string // names of environment variables; * and ? stand for any
	Postures    []string // as in [Rule]
}

// DefaultCheckPeriod stands for a check period that the file does not name.
const DefaultCheckPeriod time.Duration = -1

// sshRules reads a list of {"action", "src", "dst", "users", "checkPeriod",
// "acceptEnv", "srcPosture"}. Rules that check come first: the dialect asks
// them first, wherever they stand.
func (r *ruleReader) sshRules(section member) []SSHRule {
	var all []SSHRule
	elements := r.entries(section, "ssh", "rules")
	for i := range elements {
		before := len(r.errs)
		rule := r.sshRule(&elements[i])
		switch {
		case len(r.errs) > before:
		case len(rule.Src) == 0, len(rule.Dst) == 0, len(rule.Users) == 0:
			r.warn(elements[i].at, "", "an ssh rule without src, dst or users lets nobody in")
		default:
			all = append(all, rule)
		}
	}
	slices.SortStableFunc(all, func(a, b SSHRule) int {
		switch {
		case a.Check == b.Check:
			return 0
		case a.Check:
			return -1
		}
		return 1
	})
	return all
}

func (r *ruleReader) sshRule(v *value) SSHRule {
	fields := r.keyed(v, "an ssh rule", sshKeys)
	rule := SSHRule{Pos: r.pos(v.at), Check: r.sshAction(v, fields.member("action"))}
	src, dst, users := r.list(fields, "src"), r.list(fields, "dst"), r.list(fields, "users")
	r.expand(v.at, len(src), len(dst), len(users))
	rule.Src = r.sources(src)
	rule.Dst = r.sshDestinations(dst)
	r.checkSSHEnds(&rule, src, dst)
	rule.Users = r.sshUsers(users)
	rule.CheckPeriod = r.checkPeriod(fields.member("checkPeriod"))
	for _, it := range r.list(fields, "acceptEnv") {
		if it.text == "" {
			r.failAt(it.at, "acceptEnv", "", complain("is empty: a variable has a name", "write it as LANG or GIT_*"))
		}
		rule.AcceptEnv = append(rule.AcceptEnv, it.text)
	}
	rule.Postures = r.srcPosture(fields)
	return rule
}

func (r *ruleReader) sshAction(v *value, m member) (check bool) {
	if m.value == nil {
		r.fail(v.at, "", complain("an ssh rule has no action", `write "action": "accept" or "check"`))
		return false
	}
	it, ok := r.text(m.value, `"action"`)
	if ok && it.text != "accept" && it.text != "check" {
		r.failAt(it.at, "action", it.text, complain("is no action of an ssh rule", `use "accept" or "check"; whom no rule lets in stays out`))
	}
	return it.text == "check"
}

// checkPeriod reads a duration such as 12h, or "always".
func (r *ruleReader) checkPeriod(m member) time.Duration {
	const longest = 168 * time.Hour
	if m.value == nil || m.value.isNull() {
		return DefaultCheckPeriod
	}
	it, ok := r.text(m.value, `"checkPeriod"`)
	switch {
	case !ok || it.text == "always":
		return 0
	case it.text == "":
		return DefaultCheckPeriod
	}
	period, err := time.ParseDuration(it.text)
	var bad *complaint
	switch {
	case err != nil:
		bad = complain("is no duration", "write 12h, 30m or always")
	case period < 0:
		bad = complain("is below 0", "write 12h, 30m or always")
	case period > longest:
		bad = complainWhole("checkPeriod "+period.String()+" is above the max (168h)", "write 168h or less")
	}
	if bad != nil {
		r.failAt(it.at, "checkPeriod", it.text, bad)
	}
	return period
}
