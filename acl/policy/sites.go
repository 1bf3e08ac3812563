package policy

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
)

// sites reads {"NAME": {"id": 1, "nets": ["10.20.0.0/16"]}}.
func (r *reader) sites(section member) map[string]Site {
	sites := make(map[string]Site)
	ids := make(map[uint16]string)
	for _, m := range r.named(section, "sites") {
		sound := r.sound(m, checkWord(m.key))
		fields := r.keyed(m.value, "a site", siteKeys)
		s := Site{Name: m.key, Nets: r.siteNets(m, fields)}
		if id, ok := r.integer(fields, "id", 1, 65535); ok {
			s.ID = uint16(id)
		} else if _, written := fields.get("id"); !written {
			r.fail(m.at, m.key, complain("has no id", `add "id": 1, a number that no other site has; it is part of every address there`))
		}
		if other, twice := ids[s.ID]; twice && s.ID != 0 {
			r.fail(fields.member("id").at, "id", complain(fmt.Sprintf("the site %q has the number %d too", other, s.ID), "give each site a number of its own"))
		}
		if sound {
			ids[s.ID], sites[m.key] = m.key, s
		}
	}
	return sites
}

func (r *reader) siteNets(site member, fields object) []netip.Prefix {
	var nets []netip.Prefix
	items := r.list(fields, "nets")
	if len(items) == 0 {
		r.fail(site.at, site.key, complain("has no nets", `add "nets": ["10.20.0.0/16"]`))
	}
	if len(items) > maxNamed {
		r.fail(site.at, site.key, complain(fmt.Sprintf("has more than %d nets", maxNamed), "use larger CIDRs"))
		return nil
	}
	for _, it := range items {
		prefix, ok, bad := address(it.text)
		if bad == nil && (!ok || !prefix.Addr().Is4()) {
			bad = complain("is no IPv4 network", "write it as 10.20.0.0/16; addresses of IPv6 are one of a kind without a site")
		}
		if bad != nil {
			r.failAt(it.at, "nets", it.text, bad)
			continue
		}
		nets = append(nets, prefix)
	}
	slices.SortFunc(nets, func(a, b netip.Prefix) int {
		return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Bits(), b.Bits()))
	})
	for i := 1; i < len(nets); i++ {
		if nets[i-1].Overlaps(nets[i]) {
			r.fail(fields.member("nets").at, "nets", complain(fmt.Sprintf("%s and %s overlap", nets[i-1], nets[i]), "keep the larger one"))
		}
	}
	return nets
}

// network reads an address or a CIDR, perhaps at a site. ok is false when text is
// none, such as a login: what stands before its @ is never an address.
func (n *names) network(text string) (prefix netip.Prefix, ok bool, bad *complaint) {
	left, name, at := strings.Cut(text, "@")
	if !at {
		return address(text)
	}
	inner, ok, bad := address(left)
	if !ok {
		return inner, false, bad
	}
	site, known := n.sites[name]
	switch {
	case !known:
		return inner, false, complainOf(fmt.Sprintf("unknown site %q", shorten(name)), name, n.sites, `define it under "sites"`)
	case !inner.Addr().Is4():
		return inner, false, complain("is no IPv4 address", "leave the site out: an address of IPv6 is one of a kind without it")
	case !site.has(inner):
		return inner, false, n.elsewhere(site, left, inner)
	}
	return site.Prefix(inner), true, nil
}

// has tells whether a prefix lies in the site's nets.
func (s Site) has(p netip.Prefix) bool {
	return slices.ContainsFunc(s.Nets, func(net netip.Prefix) bool { return net.Bits() <= p.Bits() && net.Contains(p.Addr()) })
}

// elsewhere complains about an address that is not at its site. It proposes the
// first site that has it.
func (n *names) elsewhere(s Site, left string, inner netip.Prefix) *complaint {
	const most = 5
	nets := fmt.Sprint(s.Nets[:min(len(s.Nets), most)])
	bad := complain(fmt.Sprintf("lies outside of the nets of site %q: %s", s.Name, strings.Trim(nets, "[]")), "correct it, or add its network to the site")
	bad.guess = func() string {
		for _, name := range slices.Sorted(maps.Keys(n.sites)) {
			if n.sites[name].has(inner) {
				return fmt.Sprintf("did you mean %q?", left+"@"+name)
			}
		}
		return ""
	}
	return bad
}

// warnOfPlaceless warns of addresses that several sites have and that are written without
// one. Those are of neither: a rule that forbids one would forbid nothing.
func (r *ruleReader) warnOfPlaceless(v *value, key string) {
	if key == "sites" || len(r.names.sites) < 2 {
		return
	}
	for i := range v.inner {
		isKey := v.isObject() && i%2 == 0
		switch {
		case isKey && key != "routes":
		case v.isObject() && !isKey:
			r.warnOfPlaceless(&v.inner[i], v.inner[i-1].unquoted())
		default:
			r.warnOfPlaceless(&v.inner[i], key)
		}
	}
	if v.isText() && len(r.warns) < maxErrors {
		r.warnOfPlace(item{v.name(), v.at})
	}
}

func (r *ruleReader) warnOfPlace(it item) {
	text := strings.TrimPrefix(strings.TrimPrefix(it.text, "remove "), "add ")
	if host, _, bad := splitPorts(text); bad == nil {
		text = host
	}
	prefix, ok, bad := address(text)
	if !ok || bad != nil {
		return
	}
	var at []string
	for _, name := range slices.Sorted(maps.Keys(r.names.sites)) {
		if r.names.sites[name].has(prefix) {
			at = append(at, name)
		}
	}
	if len(at) > 1 {
		r.warn(it.at, text, fmt.Sprintf("is in the nets of the sites %s, and without one it is the address of neither; write %q", strings.Join(at[:min(len(at), 5)], ", "), text+"@"+at[0]))
	}
}
