package policy

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/cordonmesh/cordon/acl"
)

// narrow reads what a grant says beside who may open what where.
func (r *ruleReader) narrow(rule *Rule, at int, fields object, src []item) {
	r.said(fields, "approval", "srcDevice", "through", "recordFailure")
	devices := r.list(fields, "srcDevice")
	r.expand(at, len(src), len(devices), 1)
	rule.Devices = r.onlyTags(devices, "srcDevice")
	r.deviceSources(rule, src)
	rule.When = r.when(fields, "when")
	r.machineSources(rule, fields.member("when"))
	rule.Approval = lookup(r.reader, fields, "approval", "approvals", r.names.approvals)
	rule.Through = r.onlyTags(r.list(fields, "through"), "through")
	var written bool
	if rule.OnExpiry, written = r.onExpiry(fields); !written {
		rule.OnExpiry = r.names.approvals[rule.Approval].OnExpiry
	}
	rule.Limit = r.limit(fields)
	r.logging(rule, fields)
	rule.Monitor = r.monitored(r.flag(fields, "monitor"), "monitor", fields)
	r.watching(rule, fields)
}

// deviceSources checks the sources of a rule for people at shared devices.
func (r *ruleReader) deviceSources(rule *Rule, src []item) {
	if len(rule.Devices) == 0 {
		return
	}
	for i, s := range rule.Src {
		switch s.Kind {
		case User, Group, Member, Domain, Role, None:
		default:
			r.failAt(src[i].at, "src", src[i].text, complain("sits at no device: srcDevice is for people", "name users, groups or autogroup:member, or leave srcDevice out"))
		}
	}
	for _, part := range rule.Parts {
		if part.Self {
			r.failAt(src[0].at, "srcDevice", "", complain("leads into autogroup:self, and a shared device is nobody's own", "put autogroup:self into a rule without srcDevice"))
		}
	}
}

// machineSources warns of a condition that narrows nothing.
func (r *ruleReader) machineSources(rule *Rule, when member) {
	machine := func(s Selector) bool { return s.Kind == Tag || s.Kind == Tagged }
	if rule.When.asksPeople() && len(rule.Src) > 0 && !slices.ContainsFunc(rule.Src, func(s Selector) bool { return !machine(s) }) {
		r.warn(when.at, "when", "mfa, oncall and session bind people, and no source of this rule is one: they narrow nothing")
	}
}

// onlyTags reads a list of tags.
func (r *ruleReader) onlyTags(items []item, key string) []string {
	var tags []string
	for _, it := range items {
		s, bad := r.names.selector(it.text)
		if !strings.HasPrefix(it.text, "tag:") {
			bad = complain(key+" can only be a tag", "name the nodes by a tag of theirs")
		}
		if bad != nil {
			r.failAt(it.at, key, it.text, bad)
			continue
		}
		tags = append(tags, s.Name)
	}
	return tags
}

// limit reads {"bytes": "4GiB/1h" or "flows": "100/1m", "onExceed"}.
func (r *ruleReader) limit(fields object) *Limit {
	inner, ok := r.narrowing(fields, "limit", limitKeys)
	if !ok {
		return nil
	}
	l := &Limit{OnExceed: r.choice(inner, "onExceed", "alert", "throttle", "cut")}
	l.Bytes = r.rate(l, inner, "bytes", byteUnits())
	l.Flows = r.rate(l, inner, "flows", map[string]uint64{"": 1})
	if has(inner, "bytes") == has(inner, "flows") {
		r.fail(fields.member("limit").at, "limit", complain("needs bytes or flows, one of them", `write such as "bytes": "4GiB/1h"`))
	} else {
		r.said(inner, "bytes", "flows")
	}
	if !has(inner, "onExceed") && (has(inner, "bytes") || has(inner, "flows")) {
		r.fail(fields.member("limit").at, "limit", complain("does not say what becomes of what exceeds it", `add "onExceed": "alert", "throttle" or "cut"`))
	}
	return l
}

// rate reads the amount of a limit, if it is written.
func (r *ruleReader) rate(l *Limit, fields object, key string, units map[string]uint64) uint64 {
	it, ok := r.word(fields, key)
	if !ok {
		return 0
	}
	amount, bad := l.rate(it.text, units)
	if bad != nil {
		r.failAt(it.at, key, it.text, bad)
	}
	return amount
}

func byteUnits() map[string]uint64 {
	return map[string]uint64{
		"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40, "kB": 1e3, "KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12,
	}
}

// rate reads an amount and a window, "4GiB/1h". It sets the window.
func (l *Limit) rate(text string, units map[string]uint64) (uint64, *complaint) {
	amount, window, ok := strings.Cut(text, "/")
	amount = strings.TrimSpace(amount)
	unit := strings.TrimSpace(strings.TrimLeft(amount, digits))
	n, isNumber := number(strings.TrimSpace(strings.TrimRight(amount, letters+" ")), 99_999)
	each, known := units[unit]
	switch {
	case !ok:
		return 0, complain("has no window of time", "write such as 4GiB/1h or 100/1m")
	case !isNumber || n == 0:
		return 0, complain("has no amount from 1 to 99999", "write such as 4GiB/1h or 100/1m")
	case !known:
		return 0, complainOf(fmt.Sprintf("has an unknown unit %q", shorten(unit)), unit, units, "write bytes in KiB, MiB, GiB or TiB, and flows without one")
	}
	var bad *complaint
	if l.Window, bad = duration(strings.TrimSpace(window)); bad != nil {
		bad = complain("has a window of time that is no duration", "write such as 4GiB/1h or 100/1m")
	}
	return uint64(n) * each, bad
}

func logLevels() map[string]acl.LogLevel {
	return map[string]acl.LogLevel{"off": acl.LogOff, "drops": acl.LogDrops, "flows": acl.LogFlows, "detail": acl.LogDetail, "record": acl.LogRecord}
}

// logLevel reads how much is recorded.
func (r *reader) logLevel(fields object) (level acl.LogLevel, written bool) {
	text := r.choice(fields, "log", "off", "drops", "flows", "detail", "record")
	if text == "" {
		return acl.LogFlows, false
	}
	return logLevels()[text], true
}

func (r *ruleReader) logging(rule *Rule, fields object) {
	rule.Log, rule.LogSet = r.logLevel(fields)
	failure := r.choice(fields, "recordFailure", "deny", "allow")
	if failure != "" && rule.Log != acl.LogRecord {
		r.fail(fields.member("recordFailure").at, "recordFailure", complain("is about recording, and nothing is recorded", `add "log": "record", or take it out`))
	}
	rule.MustRecord = failure == "deny"
}

// raw gives a field as the canonical text holds it; nil if it says nothing.
func raw(fields object, key string) json.RawMessage {
	if m, ok := fields.get(key); ok && !m.value.isEmpty() {
		return appendCompact(nil, m.value)
	}
	return nil
}
