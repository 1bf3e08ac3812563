package query_test

import "strings"

// ssh gives one letter per destination, source and login.
func (w *world) ssh(a *askSSH) string {
	out := ""
	for _, to := range a.Nodes {
		for _, from := range a.Nodes {
			for _, login := range a.Logins {
				out += w.sshOne(w.node(to), w.node(from), login)
			}
		}
	}
	return out
}

// sshOne looks at check rules first, and then at accept rules.
func (w *world) sshOne(to, from *device, login string) string {
	if to == nil || from == nil {
		return "-"
	}
	for _, action := range []string{"check", "accept"} {
		for _, r := range w.policy.SSH {
			if strings.TrimSpace(r.Action) == action && !w.postured(r.SrcPosture) && w.sshFrom(r, from) && w.sshLogin(r, to, from, login) {
				return action[:1]
			}
		}
	}
	return "-"
}

func (w *world) sshFrom(r sshRule, from *device) bool {
	for _, alias := range trim(r.Src) {
		if _, yes := w.selects(alias, from); yes {
			return true
		}
	}
	return false
}

func (w *world) sshTo(r sshRule, to, from *device) bool {
	for _, alias := range trim(r.Dst) {
		if alias == "autogroup:self" && samePerson(to, from) {
			return true
		}
		if _, yes := w.selects(alias, to); yes {
			return true
		}
	}
	return false
}

// sshLogin looks for a user of the rule that is about the login. Where the rule
// does not lead to the destination, only one's own name on one's own machine is.
func (w *world) sshLogin(r sshRule, to, from *device, login string) bool {
	leads := w.sshTo(r, to, from)
	for _, user := range trim(r.Users) {
		if domain, ok := strings.CutPrefix(user, "localpart:*@"); ok {
			if !from.tagged() && login != "root" && from.User == login+"@"+domain && (leads || len(r.Dst) > 0 && samePerson(to, from)) {
				return true
			}
			continue
		}
		if leads && (user == "autogroup:nonroot" && login != "root" || user == login) {
			return true
		}
	}
	return false
}
