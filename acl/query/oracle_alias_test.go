package query_test

import (
	"net/netip"
	"slices"
	"strings"
)

// selects says whether an alias is of people or tags, and then whether it
// names the node.
func (w *world) selects(alias string, d *device) (selector, yes bool) {
	kind, rest, _ := strings.Cut(alias, ":")
	switch {
	case kind == "tag":
		return true, slices.Contains(d.Tags, alias)
	case kind == "group":
		for _, member := range trim(w.policy.Groups[alias]) {
			if _, in := w.selects(member, d); in {
				return true, true
			}
		}
		return true, false
	case kind == "user":
		domain, _ := strings.CutPrefix(rest, "*")
		return true, !d.tagged() && strings.HasSuffix(d.User, domain)
	case kind == "autogroup":
		return w.inAutogroup(rest, d)
	case strings.Contains(alias, "@"):
		return true, !d.tagged() && w.isUser(alias, d.User)
	}
	return false, false
}

func (w *world) inAutogroup(name string, d *device) (selector, yes bool) {
	switch name {
	case "member", "members":
		return true, !d.tagged()
	case "tagged":
		return true, d.tagged()
	case "shared":
		return true, false
	case "internet", "self", "danger-all":
		return false, false
	}
	if d.tagged() {
		return true, false
	}
	for _, u := range w.Users {
		if u.Login == d.User && u.Role == name {
			return true, true
		}
	}
	return true, false
}

// isUser says whether an alias is a login, or NAME@ of its user's name.
func (w *world) isUser(alias, login string) bool {
	if alias == login {
		return true
	}
	for _, u := range w.Users {
		if u.Login == login && alias == u.Name+"@" {
			return true
		}
	}
	return false
}

// selected is the addresses of the nodes that an alias of people or tags names.
func (w *world) selected(alias string) space {
	var s space
	for i := range w.Nodes {
		if _, yes := w.selects(alias, &w.Nodes[i]); yes {
			s = append(s, w.addrs(&w.Nodes[i])...)
		}
	}
	return s
}

// literal is what an address, prefix, host alias or ipset says, exactly.
func (w *world) literal(alias string) (space, bool) {
	if list, ok := w.policy.IPSets[alias]; ok {
		return w.ipset(list), true
	}
	if value, ok := w.policy.Hosts[strings.TrimPrefix(alias, "host:")]; ok {
		alias = value
	}
	p, err := parsePrefix(alias)
	if err != nil {
		return nil, false
	}
	return space{spanOf(p)}, true
}

// ipset is its entries in their order: "add X", "remove X", or X, which adds.
func (w *world) ipset(list []string) space {
	var s space
	for _, entry := range list {
		op, what, ok := strings.Cut(strings.TrimSpace(entry), " ")
		if !ok {
			op, what = "add", op
		}
		what = strings.TrimSpace(what)
		part, ok := w.literal(what)
		if what == "autogroup:internet" {
			part = w.destination(what)
		}
		if low, high, found := strings.Cut(what, "-"); found && !ok {
			part, _ = rangeOf(strings.TrimSpace(low), strings.TrimSpace(high))
		}
		if op == "add" {
			s = slices.Concat(s, part)
		} else {
			s = s.minus(part)
		}
	}
	return s
}

// isDefault says whether an alias is 0.0.0.0/0 or ::/0, by itself or as a host.
func (w *world) isDefault(alias string, family netip.Prefix) bool {
	if value, ok := w.policy.Hosts[alias]; ok {
		alias = value
	}
	p, err := parsePrefix(alias)
	return err == nil && p == family
}

func parsePrefix(text string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(text); err == nil {
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	return netip.ParsePrefix(text)
}

// source is the addresses that an alias admits.
func (w *world) source(alias string) space {
	switch alias {
	case "*":
		s := w.meshSpace()
		for i := range w.Nodes {
			s = slices.Concat(s, spaceOfPrefixes(w.Nodes[i].subnets()))
		}
		return s
	case "autogroup:danger-all":
		return everything()
	}
	if s, ok := w.literal(alias); ok {
		return s
	}
	return w.selected(alias)
}

// destination is the addresses that an alias opens, as it is written.
func (w *world) destination(alias string) space {
	switch alias {
	case "*":
		return everything()
	case "autogroup:internet":
		private := spaceOf("10.0.0.0/8", "100.64.0.0/10", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16")
		return append(spaceOf("0.0.0.0/0").minus(private), spaceOf("2000::/3")...)
	}
	if ipset, ok := strings.CutPrefix(alias, beyondExits); ok {
		all := w.ipset(w.policy.IPSets[ipset])
		return all.minus(all.minus(w.destination("autogroup:internet")))
	}
	if s, ok := w.literal(alias); ok {
		return s
	}
	return w.selected(alias)
}
