package policy

import (
	"fmt"
	"slices"

	"github.com/cordonmesh/cordon/acl"
)

// forbids reads a list of {"id", "src", "dst", "ip", "when", "srcPosture"}. It
// comes after all rules that open something.
func (r *ruleReader) forbids(section member, name string) []Rule {
	var all []Rule
	elements := r.entries(section, name, "rules")
	if r.forbidden += len(elements); r.forbidden > maxNamed {
		r.fail(section.at, name, complain(fmt.Sprintf("more than %d rules that forbid", maxNamed), "forbid segments, not their members"))
		return nil
	}
	for i := range elements {
		before := len(r.errs)
		rule := r.forbid(&elements[i])
		rule.Section, rule.Pos = name, r.pos(elements[i].at)
		if len(r.errs) == before {
			all = append(all, rule)
		}
	}
	return all
}

func (r *ruleReader) forbid(v *value) Rule {
	fields := r.keyed(v, "a rule that forbids", forbidKeys)
	src, dst, ip := r.list(fields, "src"), r.list(fields, "dst"), r.list(fields, "ip")
	r.expand(v.at, r.weight(src), r.weight(dst), len(ip))
	if len(src) == 0 || len(dst) == 0 {
		r.fail(v.at, "", judge("forbids nothing: it has no src or no dst", `name both; "*" is all`))
	}
	rule := Rule{Src: r.sources(src), When: r.when(fields, "when")}
	if m, ok := fields.get("srcPosture"); ok && !m.value.isEmpty() {
		rule.Postures = r.postureNames(m) // the file's default narrows what opens, never what forbids
	}
	r.atOdds(&rule, fields)
	if w := rule.When; w.asksPeople() || w.Risk != nil {
		r.fail(fields.member("when").at, "when", complain("would forbid those who are safer: whoever meets it is refused", "a rule that forbids takes posture and schedule"))
	}
	rule.Parts = r.grantParts(r.forbiddable(dst), r.forbiddenServices(ip), nil)
	r.selfSources(&rule, src, true)
	r.identify(&rule, fields, canonical{
		Action: "forbid", Src: src, Dst: dst, IP: ip, SrcPosture: rule.Postures, When: raw(fields, "when"),
	})
	return rule
}

// forbiddenServices reads what is forbidden; everything if nothing is written.
// That is every protocol that any rule of the file opens, not those alone that "*"
// opens in a grant: what no rule opens needs nobody to forbid it.
func (r *ruleReader) forbiddenServices(items []item) []acl.Service {
	if len(items) > 0 && !slices.ContainsFunc(items, func(it item) bool { return it.text == "*" }) {
		return r.grantServices(items)
	}
	all, _ := grantService(nil, "*")
	for _, p := range r.opens {
		all = append(all, acl.Service{Protocol: p, Last: 65535})
	}
	return acl.MergeServices(all)
}

// lockdowns reads {"LEVEL": {"by", "count", "forbid": [...]}}.
func (r *ruleReader) lockdowns(section member) map[string]Lockdown {
	all := make(map[string]Lockdown)
	for _, m := range r.named(section, "lockdown") {
		sound := r.sound(m, checkWord(m.key))
		fields := r.keyed(m.value, "a level of lockdown", lockdownKeys)
		l := Lockdown{Name: m.key, Pos: r.pos(m.at)}
		l.By, l.Count = r.quorum(m.at, m.key, fields)
		l.Rules = r.forbids(fields.member("forbid"), "forbid")
		if !has(fields, "forbid") {
			at := m
			if written, ok := fields.get("forbid"); ok {
				at = written
			}
			r.fail(at.at, at.key, judge("forbids nothing", `add "forbid": [{"src": ["*"], "dst": ["seg:..."]}]`))
		}
		for i := range l.Rules {
			l.Rules[i].Section, l.Rules[i].Level = "lockdown", m.key
		}
		if sound {
			all[m.key] = l
		}
	}
	return all
}
