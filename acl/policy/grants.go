package policy

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/cordonmesh/cordon/acl"
)

// grant reads {"id", "src", "dst", "ip", "app", "via", "srcPosture"} and what
// [ruleReader.narrow] does: every destination with every service and every
// capability.
func (r *ruleReader) grant(v *value, rule *Rule) {
	fields := r.keyed(v, "a grant", grantKeys)
	src, dst, ip := r.list(fields, "src"), r.list(fields, "dst"), r.list(fields, "ip")
	app := r.capabilities(fields.member("app"))
	r.expand(v.at, r.weight(src), r.weight(dst), len(ip)+len(app))
	if m := fields.member("app"); len(ip) == 0 && (m.value == nil || m.value.isEmpty()) {
		r.fail(v.at, "", complain("ip and app can not both be empty in a grant", `write "ip": ["tcp:443"], or ["*"] for everything`))
	}
	rule.Src, rule.Via, rule.Postures = r.sources(src), r.onlyTags(r.list(fields, "via"), "via"), r.srcPosture(fields)
	rule.Parts = r.grantParts(dst, r.grantServices(ip), app)
	r.selfSources(rule, src, false)
	r.narrow(rule, v.at, fields, src)
	r.checkFloors(rule, v.at, fields)
	r.neverOpens(rule, v.at, fields)
	r.identify(rule, fields, canonical{
		Src: src, Dst: dst, IP: ip, Via: rule.Via, App: rawValues(app), SrcPosture: rule.Postures,
		SrcDevice: rule.Devices, When: raw(fields, "when"), Approval: rule.Approval, Through: rule.Through,
		OnExpiry: raw(fields, "onExpiry"), Limit: raw(fields, "limit"), Log: raw(fields, "log"), RecordFailure: raw(fields, "recordFailure"),
		Monitor: raw(fields, "monitor"), Until: raw(fields, "until"),
	})
}

// grantParts reads a grant's destinations.
func (r *ruleReader) grantParts(dst []item, open []acl.Service, app []Capability) []Part {
	parts := r.partsOf(dst)
	for _, it := range dst {
		if isVirtual(it.text) {
			r.leadsNowhere(it)
			continue
		}
		s, bad := r.names.selector(it.text)
		switch {
		case bad != nil:
		case r.names.holds(s, func(p netip.Prefix) bool { return p.Bits() == 0 }):
			bad = complainWhole(fmt.Sprintf(`dst %q: to allow all IP addresses, use "*" or "autogroup:internet"`, it.text), "")
		case s.Kind == Internet && len(app) > 0:
			bad = complain("cannot use app grants with autogroup:internet", "no node there could obey a capability; write ip alone")
		case s.Kind == Role && len(app) > 0:
			bad = complain("cannot use app grants with a role as destination", "name the nodes by a user, a group or a tag; or write ip alone")
		default:
			bad = checkDestination(s)
		}
		if bad != nil {
			r.failAt(it.at, "dst", it.text, bad)
			continue
		}
		if len(open) > 0 {
			parts.add(s, open, nil)
		}
		if len(app) > 0 {
			parts.add(s, nil, app)
		}
	}
	return parts.all
}

// grantService adds to a list what "*", "22", "80-443", "tcp:22,80" or "icmp:*" opens,
// where "*:22" is as "22". A bare number is a port, never a protocol.
func grantService(open []acl.Service, text string) ([]acl.Service, *complaint) {
	name, portText, hasProtocol := strings.Cut(text, ":")
	if !hasProtocol {
		portText = text
		if p, bad := protocol(text); bad == nil && p != nil && strings.Trim(text, "0123456789") != "" {
			return nil, complain("names a protocol without ports", "write "+text+":*")
		}
	}
	var protocols []acl.Protocol
	if name = strings.TrimSpace(name); hasProtocol && name != "*" {
		var bad *complaint
		if protocols, bad = protocol(name); bad != nil {
			return nil, bad
		}
		if protocols == nil {
			return nil, complain("has an empty protocol", "write tcp:22, or 22 for any protocol")
		}
	}
	var few [4]span
	spans, bad := ports(few[:0], strings.TrimSpace(portText))
	if bad != nil {
		return nil, bad
	}
	return services(open, protocols, spans)
}
