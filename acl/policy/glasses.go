package policy

import (
	"slices"
)

// breakGlass reads a list of {"id", "waives", "reason", "maxDuration", "cooldown",
// "alert", "review", "offline"} with "src", "srcDevice", "dst", "ip" and "log" for a rule of its
// own, or with "segments" and "declare" for what is lifted.
func (r *ruleReader) breakGlass(section member) []BreakGlass {
	var all []BreakGlass
	elements := r.entries(section, "breakGlass", "entries")
	if len(elements) > maxNamed {
		r.fail(section.at, "breakGlass", complain("more than 1000 ways around conditions", "keep few, and loud"))
		return nil
	}
	for i := range elements {
		all = append(all, r.glass(&elements[i]))
	}
	return all
}

func (r *ruleReader) glass(v *value) BreakGlass {
	before := len(r.errs)
	fields := r.keyed(v, "an entry of breakGlass", glassKeys)
	g := BreakGlass{
		Pos: r.pos(v.at), Waives: r.waived(fields), Reason: r.choice(fields, "reason", "required", "optional") == "required",
		MaxDuration: r.period(fields, "maxDuration"), Cooldown: r.period(fields, "cooldown"),
		Alert: r.told(fields, "alert"), Review: r.review(fields), Offline: r.flag(fields, "offline"),
	}
	r.said(fields, "srcDevice", "reason", "cooldown")
	r.filled(fields, "maxDuration", `write such as "60m"`)
	if _, ok := fields.get("maxDuration"); !ok {
		r.fail(v.at, "", complain("a break-glass has no maxDuration", `add "maxDuration": "60m"`))
	}
	if people, known := r.names.headcount(g.Alert); known && people == 0 {
		r.warn(v.at, "", `nobody is told when this glass breaks; add "alert"`)
	}
	rule := Rule{Section: "breakGlass", Pos: g.Pos}
	lifts := has(fields, "segments")
	switch opens := has(fields, "src") || has(fields, "dst") || has(fields, "ip"); {
	case lifts == opens:
		r.fail(v.at, "", complain("a break-glass opens something (src, dst and ip), or lifts conditions (segments and declare)", "write one of both"))
		r.namedAnyway(fields)
	case lifts:
		r.lifting(v, fields, &g)
	default:
		r.glassRule(v, fields, &g, &rule)
	}
	r.identify(&rule, fields, canonical{
		Action: "breakGlass", Src: r.list(fields, "src"), Dst: r.list(fields, "dst"), IP: r.list(fields, "ip"), SrcPosture: rule.Postures,
		SrcDevice: rule.Devices,
	})
	if !rule.Written {
		r.fail(v.at, "", complain("a break-glass has no id", `add "id": "patient", by which people call it`))
	}
	g.ID, rule.Glass = string(rule.ID), string(rule.ID)
	if !lifts && len(r.errs) == before {
		r.rules = append(r.rules, rule)
	}
	return g
}

// namedAnyway reads the names of what is refused for saying too much, so that each that
// is wrong is told.
func (r *ruleReader) namedAnyway(fields object) {
	r.sources(r.list(fields, "src"))
	r.grantParts(r.list(fields, "dst"), r.grantServices(r.list(fields, "ip")), nil)
	lookups(r.reader, fields, "segments", "segments", r.names.segments)
}

func has(fields object, key string) bool {
	m, ok := fields.get(key)
	return ok && !m.value.isEmpty()
}

// glassRule reads a way that is a rule of its own.
func (r *ruleReader) glassRule(v *value, fields object, g *BreakGlass, rule *Rule) {
	src, dst, ip := r.list(fields, "src"), r.list(fields, "dst"), r.list(fields, "ip")
	r.expand(v.at, r.weight(src), r.weight(dst), len(ip))
	for _, key := range []string{"src", "dst", "ip"} {
		if !has(fields, key) {
			r.fail(v.at, "", complain("a break-glass that opens something has no "+key, `write "src", "dst" and "ip"`))
		}
	}
	if has(fields, "declare") {
		r.fail(fields.member("declare").at, "declare", complain("belongs to a break-glass with segments", "take it out: here each person breaks the glass for themself"))
	}
	rule.Src = r.sources(src)
	for i, s := range rule.Src {
		if s.Kind != None && (!s.isWho() || s.Kind == Tag || s.Kind == Tagged) {
			r.failAt(src[i].at, "src", src[i].text, complain("is nobody who could break a glass", "name users, groups or roles"))
		}
	}
	devices := r.list(fields, "srcDevice")
	r.expand(v.at, len(src), len(devices), 1)
	rule.Devices = r.onlyTags(devices, "srcDevice")
	rule.Parts = r.grantParts(dst, r.grantServices(ip), nil)
	r.selfSources(rule, src, false)
	r.deviceSources(rule, src)
	rule.Log, rule.LogSet = r.logLevel(fields)
	r.checkFloors(rule, v.at, fields)
	if !slices.Contains(g.Waives, "posture") {
		rule.Postures = r.defaultPostures
	}
}

// lifting reads a way that lifts conditions of other rules.
func (r *ruleReader) lifting(v *value, fields object, g *BreakGlass) {
	g.Segments = lookups(r.reader, fields, "segments", "segments", r.names.segments)
	if len(g.Waives) == 0 && !has(fields, "waives") {
		r.fail(v.at, "", complain("a break-glass with segments waives nothing", `add "waives": ["mfa"]`))
	}
	for _, key := range []string{"log", "srcDevice"} {
		if has(fields, key) {
			r.fail(fields.member(key).at, key, complain("belongs to a rule, and this lifts conditions of others", "take it out"))
		}
	}
	inner, ok := r.within(fields, "declare", declareKeys)
	if !ok {
		r.fail(v.at, "", complain("a break-glass with segments says not who declares it", `add "declare": {"by": "group:...", "count": 2}`))
		return
	}
	g.By, g.Count = r.quorum(fields.member("declare").at, "declare", inner)
}

// review reads {"by", "within"}.
func (r *ruleReader) review(fields object) Review {
	r.notNull(fields, "review")
	inner, ok := r.within(fields, "review", reviewKeys)
	if !ok {
		return Review{}
	}
	review := Review{Within: r.period(inner, "within")}
	by, hasBy := r.word(inner, "by")
	if hasBy {
		review.By = r.somebody(by, "by")
	}
	if hasBy && has(inner, "within") {
		return review
	}
	r.fail(fields.member("review").at, "review", complain("says not who looks at it, and how soon", `write {"by": "group:...", "within": "24h"}`))
	return Review{}
}
