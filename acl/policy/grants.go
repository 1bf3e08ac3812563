package policy

import (
	"slices"
	"strings"

	"github.com/tailscale/hujson"

	"github.com/cordonmesh/cordon/acl"
)

// grant reads {"id", "src", "dst", "ip"}: every destination with every service.
func (r *ruleReader) grant(v *hujson.Value) Rule {
	fields := r.keyed(v, "a grant", grantKeys)
	src, dst, ip := r.list(fields, "src"), r.list(fields, "dst"), r.list(fields, "ip")
	r.expand(v.StartOffset, len(src), len(dst), len(ip))
	r.checkApp(v, fields["app"], len(ip) > 0)

	rule := Rule{Src: r.sources(src)}
	var parts partList
	open := r.grantServices(ip)
	for _, it := range dst {
		s, bad := r.names.selector(it.text)
		if bad == nil && s.Kind == Net && s.Prefix.Bits() == 0 {
			bad = complain("is every address there is", `to allow all addresses of the mesh, use "*"`)
		}
		if bad != nil {
			r.failAt(it.at, "dst", it.text, bad)
			continue
		}
		parts.add(s, open)
	}
	rule.Parts = parts.all
	if slices.ContainsFunc(rule.Parts, func(p Part) bool { return p.Self }) {
		r.selfSources(rule.Src, src, false)
	}
	r.identify(&rule, fields, canonical{Src: texts(src), Dst: texts(dst), IP: texts(ip)})
	return rule
}

// checkApp deals with application capabilities, which we do not hand out.
// Next to ip they add to a grant; alone they are all that it says.
func (r *ruleReader) checkApp(v *hujson.Value, app member, hasIP bool) {
	hasApp := app.value != nil && !isEmpty(app.value)
	switch {
	case hasApp && hasIP:
		r.warn(app.at, "app", "capabilities have no effect here; the grant opens what its ip says")
	case hasApp:
		r.fail(app.at, "app", notYet("a grant of capabilities alone is"))
	case !hasIP:
		r.fail(v.StartOffset, "", complain("ip and app can not both be empty in a grant", `write "ip": ["tcp:443"], or ["*"] for everything`))
	}
}

// grantServices reads a grant's "ip" list.
func (r *ruleReader) grantServices(items []item) []acl.Service {
	var all []acl.Service
	for _, it := range items {
		open, bad := grantService(it.text)
		if bad != nil {
			r.failAt(it.at, "ip", it.text, bad)
			continue
		}
		all = append(all, open...)
	}
	return acl.MergeServices(all)
}

// grantService reads "*", "22", "80-443", "tcp:22" or "icmp:*". A bare number is
// a port, never a protocol.
func grantService(text string) ([]acl.Service, *complaint) {
	name, portText, hasProtocol := strings.Cut(text, ":")
	if !hasProtocol {
		portText = text
		if p, bad := protocol(text); bad == nil && p != nil && strings.Trim(text, "0123456789") != "" {
			return nil, complain("names a protocol without ports", "write "+text+":*")
		}
	}
	if name == "service" {
		return nil, notYet("service: names are")
	}
	var protocols []acl.Protocol
	if hasProtocol {
		var bad *complaint
		if protocols, bad = protocol(strings.TrimSpace(name)); bad != nil {
			return nil, bad
		}
		if protocols == nil {
			return nil, complain("has an empty protocol", "write tcp:22, or 22 for any protocol")
		}
	}
	s, bad := portRange(strings.TrimSpace(portText))
	if bad != nil {
		return nil, bad
	}
	return services(protocols, []span{s})
}
