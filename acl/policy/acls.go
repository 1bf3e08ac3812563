package policy

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/cordonmesh/cordon/acl"
)

// acl reads {"action", "src", "dst", "proto", "srcPosture"}: each destination with its ports.
func (r *ruleReader) acl(v *value, rule *Rule) {
	fields := r.keyed(v, "an acl", aclKeys)
	r.action(v, fields)
	r.oldName(fields, "users", "src")
	r.oldName(fields, "ports", "dst")
	src, dst := r.list(fields, "src"), r.list(fields, "dst")
	r.expand(v.at, r.weight(src), r.weight(dst), 1)

	var proto item
	if m, ok := fields.get("proto"); ok && !m.value.isNull() {
		proto, _ = r.text(m.value, `"proto"`)
	}
	protocols, bad := protocol(proto.text)
	if bad != nil {
		r.failAt(proto.at, "proto", proto.text, bad)
	}
	rule.Src, rule.Postures = r.sources(src), r.srcPosture(fields)
	parts := r.partsOf(dst)
	for _, it := range dst {
		s, open, wrong := r.names.destination(it.text, protocols)
		if host, _, bad := splitPorts(it.text); bad == nil && len(wrong) == 1 && isVirtual(host) {
			r.leadsNowhere(it)
			continue
		}
		for _, bad := range wrong {
			r.failAt(it.at, "dst", it.text, bad)
		}
		if len(wrong) == 0 {
			parts.add(s, open, nil)
		}
	}
	rule.Parts = parts.all
	r.selfSources(rule, src, true)
	r.neverOpens(rule, v.at, fields)
	r.identify(rule, fields, canonical{Action: "accept", Proto: proto.text, Src: src, Dst: dst, SrcPosture: rule.Postures})
}

// action checks that a rule accepts: the language has no rule that denies.
func (r *ruleReader) action(v *value, fields object) {
	m, ok := fields.get("action")
	if !ok {
		r.fail(v.at, "", complain("an acl has no action", `write "action": "accept"`))
		return
	}
	if it, ok := r.text(m.value, `"action"`); ok && it.text != "accept" {
		r.failAt(it.at, "action", it.text, complainWhole(fmt.Sprintf("action=%q is not supported", shorten(it.text)), `use "accept"; everything that no rule accepts is denied`))
	}
}

// oldName takes the dialect's earlier name of a field for the field.
func (r *ruleReader) oldName(fields object, old, name string) {
	m, ok := fields.get(old)
	if !ok {
		return
	}
	if _, both := fields.get(name); both {
		r.fail(m.at, m.key, complain("is the old name of "+name+", which stands here too", "keep "+name))
		return
	}
	fields.rename(old, name)
}

// destination reads "host:ports". An IPv6 address may stand in brackets. Host and
// ports may both be wrong.
func (n *names) destination(text string, protocols []acl.Protocol) (s Selector, open []acl.Service, wrong []*complaint) {
	host, portText, bad := splitPorts(text)
	if bad != nil {
		return s, nil, []*complaint{bad}
	}
	if s, bad = n.selector(host); bad == nil {
		bad = checkDestination(s)
	}
	if bad != nil && strings.HasPrefix(bad.why, "tag not found") { // of the tag alone: its ports may be right
		bad.why, bad.whole = fmt.Sprintf("dst=%q: %s", shorten(host), bad.why), true
	}
	if bad != nil {
		wrong = append(wrong, bad)
	}
	spans, bad := ports(nil, portText)
	if bad == nil {
		open, bad = services(nil, protocols, spans)
	}
	if bad != nil {
		wrong = append(wrong, bad)
	}
	return s, acl.MergeServices(open), wrong
}

// splitPorts cuts "host:ports" at the last colon.
func splitPorts(text string) (host, ports string, bad *complaint) {
	i := strings.LastIndexByte(text, ':')
	if i < 0 {
		return "", "", complain("has no ports", "write host:22, host:80-443 or host:*")
	}
	host, ports = strings.TrimSpace(text[:i]), strings.TrimSpace(text[i+1:])
	if _, err := netip.ParseAddr(text); err == nil && strings.HasSuffix(host, ":") {
		return "", "", complain("has no ports", "write ["+text+"]:22")
	}
	switch host {
	case "tag", "group", "autogroup", "user", "ipset", "svc":
		return "", "", complain("has no ports", "write "+text+":22, or "+text+":* for all")
	}
	if !strings.HasPrefix(host, "[") {
		return host, ports, nil
	}
	inner, rest, ok := strings.Cut(host[1:], "]")
	if !ok || (rest != "" && !strings.HasPrefix(rest, "/")) || !strings.Contains(inner, ":") || strings.Contains(inner, "/") {
		return "", "", complain("has brackets around what is no IPv6 address", "write [fd00::1]:22 or [fd00::]/48:22")
	}
	return inner + rest, ports, nil
}
