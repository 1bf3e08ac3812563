package compile_test

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/acl/compile"
)

// wardSite is where a ward's policy is obeyed.
type wardSite struct {
	nodes    map[string]compile.Node
	known    map[string]compile.Evidence // of nodes, as it was when it was weighed
	weighed  time.Time
	now      time.Time
	declared compile.Declared
	signIn   bool
}

// wardPlace is an address with whose it is, or behind whom.
type wardPlace struct {
	addr    netip.Addr
	host    *compile.Node
	routers []compile.Node // of the longest route that holds it
	route   netip.Prefix
	routed  bool
	claims  int // nodes that say that it is theirs: more than one, and it is nobody's
}

func (w *ward) place(a netip.Addr) wardPlace {
	p := wardPlace{addr: a}
	longest := 1
	for _, id := range sortedKeys(w.site.nodes) {
		n := w.site.nodes[id]
		if slices.Contains(n.Addrs, a) {
			p.host = &n
			p.claims++
		}
		for _, r := range n.Routes {
			if r.Contains(a) && r.Bits() >= longest {
				if r.Bits() > longest {
					p.routers = nil
				}
				longest, p.route, p.routed = r.Bits(), r, true
				p.routers = append(p.routers, n)
			}
		}
	}
	return p
}

// tags gives the tags of a device: those that all vouch for who stand before it.
func (p *wardPlace) tags() []string {
	var said [][]string
	for _, n := range p.routers {
		for _, d := range n.Devices {
			if d.Prefix.Addr() == p.addr {
				said = append(said, slices.Compact(slices.Sorted(slices.Values(d.Tags))))
			}
		}
	}
	if len(said) == 0 || slices.ContainsFunc(said, func(tags []string) bool { return !slices.Equal(tags, said[0]) }) {
		return nil
	}
	return said[0]
}

// holders gives the nodes whose facts count for an address.
func (p *wardPlace) holders() []string {
	if p.host != nil {
		return []string{p.host.ID}
	}
	var ids []string
	for _, n := range p.routers {
		if slices.Contains(n.Elected, p.route) {
			return []string{n.ID}
		}
		ids = append(ids, n.ID)
	}
	return ids
}

// beyond tells whether an address is no machine's of the mesh, nor one that a machine may
// have one day: what a route inside the mesh's range carries is none either.
func (p *wardPlace) beyond() bool {
	return p.host == nil && !slices.ContainsFunc(ranges(), func(r netip.Prefix) bool {
		return r.Contains(p.addr) && !(p.routed && p.route.Bits() > r.Bits())
	})
}

func (p *wardPlace) person() string {
	if p.host == nil || len(p.host.Tags) > 0 {
		return ""
	}
	return p.host.User
}

func (w *ward) matches(alias string, at wardPlace, asSource bool) bool {
	switch {
	case alias == "*" && asSource:
		return at.routed || slices.ContainsFunc(ranges(), func(p netip.Prefix) bool { return p.Contains(at.addr) })
	case alias == "*":
		return at.routed || at.host != nil
	case strings.HasPrefix(alias, "seg:"):
		return slices.ContainsFunc(w.membersOf(alias), func(member string) bool { return w.matches(member, at, asSource) })
	case alias == "autogroup:tagged":
		return at.host != nil && len(at.host.Tags) > 0
	case strings.HasPrefix(alias, "tag:") && at.host != nil:
		return slices.Contains(at.host.Tags, alias)
	case strings.HasPrefix(alias, "tag:"):
		return slices.Contains(at.tags(), alias)
	case w.isPeople(alias):
		return w.isAmong(alias, at.person())
	}
	if p, err := netip.ParsePrefix(alias); err == nil {
		return p.Contains(at.addr)
	}
	return netip.MustParseAddr(alias) == at.addr
}

// membersOf gives what is written of a segment.
func (w *ward) membersOf(name string) []string {
	return w.segments[slices.IndexFunc(w.segments, func(s wardSegment) bool { return s.name == name })].members
}

// concerns tells whether what a rule that forbids names, or a segment, is at a place: of
// a machine, at any of its addresses.
func (w *ward) concerns(alias string, at wardPlace, asSource bool) bool {
	all := []string{alias}
	if strings.HasPrefix(alias, "seg:") {
		all = w.membersOf(alias)
	}
	return slices.ContainsFunc(all, func(one string) bool {
		return w.matches(one, at, asSource) || at.host != nil && slices.ContainsFunc(at.host.Addrs, func(a netip.Addr) bool {
			p, err := netip.ParsePrefix(one)
			return one == a.String() || err == nil && p.Contains(a)
		})
	})
}

func (w *ward) isPeople(alias string) bool {
	return strings.HasPrefix(alias, "group:") || strings.Contains(alias, "@") || alias == "autogroup:member" || alias == "autogroup:self"
}

func (w *ward) isAmong(alias, login string) bool {
	switch {
	case login == "":
		return false
	case strings.HasPrefix(alias, "group:"):
		return slices.Contains(w.groups[alias], login)
	}
	return strings.HasPrefix(alias, "autogroup:") || alias == login
}

// wardVerdict is what becomes of a flow and by which rule.
type wardVerdict struct {
	allow, monitored bool
	rule             string
}

// verdict judges a flow whose source is held by a node.
func (w *ward) verdict(from, to wardPlace, holder string, proto acl.Protocol, port uint16) wardVerdict {
	if from.claims > 1 || to.claims > 1 || to.host == nil && !to.routed {
		return wardVerdict{}
	}
	for _, r := range w.forbids {
		if w.forbidden(&r, from, holder) && slices.ContainsFunc(r.dst, func(alias string) bool { return w.concerns(alias, to, false) }) && w.shuts(&r, proto, port) {
			return wardVerdict{rule: r.id}
		}
	}
	for _, bare := range []bool{false, true} {
		for _, r := range slices.Concat(w.glasses, w.grants) {
			if w.permitted(&r, from, to, holder, bare) && w.leads(&r, from, to) && r.opens(proto, port) {
				return wardVerdict{true, bare, r.id}
			}
		}
	}
	if all := w.segmentsOf(to); w.matches("*", from, true) && (proto != 47) && (from.person() == "" || w.signedIn(holder)) {
		open := func(s wardSegment) bool { return w.site.now.Before(s.monitor) }
		if len(all) > 0 && !slices.ContainsFunc(all, func(s wardSegment) bool { return !open(s) }) {
			return wardVerdict{true, true, all[0].name}
		}
	}
	return wardVerdict{}
}

func (w *ward) leads(r *wardRule, from, to wardPlace) bool {
	return slices.ContainsFunc(r.dst, func(alias string) bool {
		return w.matches(alias, to, false) && (alias != "autogroup:self" || from.person() != "" && from.person() == to.person())
	})
}

// opens tells whether a rule names a service; an echo passes where any is.
func (r *wardRule) opens(proto acl.Protocol, port uint16) bool {
	return modelRule{ports: r.ports}.opens(0, proto, int(port))
}

// shuts tells whether a rule that forbids names a service, an echo by its
// protocol. All is every protocol that some rule opens.
func (w *ward) shuts(r *wardRule, proto acl.Protocol, port uint16) bool {
	opens := func(o wardRule) bool { return len(o.dst) > 0 && slices.Contains(o.ports, "47:*") }
	switch {
	case slices.Contains(r.ports, "*"):
		return proto != 47 || slices.ContainsFunc(slices.Concat(w.glasses, w.grants), opens)
	case proto == acl.ICMP:
		return slices.Contains(r.ports, "icmp:*")
	case proto == acl.ICMPv6:
		return false // by "*" alone
	}
	return r.opens(proto, port)
}

// forbidden tells whether what a rule forbids is forbidden to a source: as the
// device that it is, or to the person who sits at it.
func (w *ward) forbidden(r *wardRule, from wardPlace, holder string) bool {
	if r.level != "" && !slices.Contains(w.site.declared.Levels, r.level) {
		return false
	}
	who := slices.ContainsFunc(r.src, func(alias string) bool {
		return w.concerns(alias, from, true) || w.isPeople(alias) && w.atShared(from) && w.isAmong(alias, w.sitting(holder))
	})
	return who && w.met(&r.when, holder, false, nil) && w.anyPosture(r.postures, holder)
}

// atShared tells whether a place is a device at which some rule lets people sit.
func (w *ward) atShared(at wardPlace) bool {
	return slices.ContainsFunc(slices.Concat(w.glasses, w.grants), func(r wardRule) bool {
		return slices.ContainsFunc(r.devices, func(tag string) bool { return w.matches(tag, at, true) })
	})
}

// sitting gives who sits at a node now.
func (w *ward) sitting(holder string) string {
	e := w.site.known[holder]
	if e.Presence == nil || !w.site.now.Before(e.Presence.Until) {
		return ""
	}
	return e.Person.User
}

// permitted tells whether a rule is for a source, and all that is asked holds. A
// rule that is only monitored permits without its own conditions, when bare.
func (w *ward) permitted(r *wardRule, from, to wardPlace, holder string, bare bool) bool {
	human := from.person() != ""
	who := func(alias string) bool { return w.matches(alias, from, true) }
	if len(r.devices) > 0 {
		if human = slices.ContainsFunc(r.devices, who); !human {
			return false
		}
		who = func(alias string) bool { return w.isAmong(alias, w.sitting(holder)) }
	}
	if human && !w.signedIn(holder) {
		return false
	}
	if !slices.ContainsFunc(r.src, who) || bare && !w.site.now.Before(r.monitor) {
		return false
	}
	if r.glass && !w.site.now.Before(w.site.known[holder].Glass[r.id]) {
		return false
	}
	asked := *r
	if from.beyond() && len(r.devices) == 0 {
		asked.postures = nil // it is no device of the mesh
	}
	if w.asks(&asked, to, holder, human, bare, r.waives) {
		return true
	}
	return !bare && !r.glass && slices.ContainsFunc(w.lifts, func(l wardLift) bool {
		return w.site.now.Before(w.site.declared.Glass[l.id]) && w.lifted(l, to) && w.asks(&asked, to, holder, human, false, l.waives)
	})
}

// signedIn tells whether whoever is at a node is signed in there, or need not be.
func (w *ward) signedIn(holder string) bool {
	return !w.site.signIn || w.site.now.Before(w.site.known[holder].SignedIn)
}

// lifted tells whether a break-glass names all that an address is in.
func (w *ward) lifted(l wardLift, to wardPlace) bool {
	all := w.segmentsOf(to)
	return len(all) > 0 && !slices.ContainsFunc(all, func(s wardSegment) bool { return !slices.Contains(l.segments, s.name) })
}

// asks tells whether a rule's conditions hold, and the floors where it leads to.
func (w *ward) asks(r *wardRule, to wardPlace, holder string, human, bare bool, waived []string) bool {
	if r.approved && !slices.Contains(waived, "approval") {
		if a := w.site.known[holder].Approved[acl.RuleID(r.id)]; a.People < 2 || !w.site.now.Before(a.Until) {
			return false
		}
	}
	if !bare && (!w.met(&r.when, holder, human, waived) || !slices.Contains(waived, "posture") && !w.anyPosture(r.postures, holder)) {
		return false
	}
	if human && w.drainsByProof(r, to, bare, waived) && !w.site.now.Before(w.site.known[holder].SignedIn) {
		return false
	}
	return !human || !slices.ContainsFunc(w.segmentsOf(to), func(s wardSegment) bool { return !w.met(&s.requires, holder, true, waived) })
}

// drainsByProof tells whether a rule, not about who sits at a shared machine, lets drain
// what it asks a person's proof for: then it asks that its session is there as well.
func (w *ward) drainsByProof(r *wardRule, to wardPlace, bare bool, waived []string) bool {
	proof := func(c *wardWhen) bool {
		return c.within > 0 && !slices.Contains(waived, "mfa") || (c.session != "" || c.idle > 0) && !slices.Contains(waived, "session")
	}
	return r.drain > 0 && len(r.devices) == 0 &&
		(!bare && proof(&r.when) || slices.ContainsFunc(w.segmentsOf(to), func(s wardSegment) bool { return proof(&s.requires) }))
}

func (w *ward) anyPosture(names []string, holder string) bool {
	return len(names) == 0 || slices.ContainsFunc(names, func(name string) bool { return w.posture(name, holder) })
}

// met tells whether conditions hold of a node, and of the person at it.
func (w *ward) met(c *wardWhen, holder string, human bool, waived []string) bool {
	e, somebody := w.site.known[holder]
	asks := func(kind string, is bool) bool { return is && !slices.Contains(waived, kind) }
	switch {
	case asks("mfa", human && c.within > 0) && !w.login(c, &e),
		asks("oncall", human && c.oncall != "") && !w.site.now.Before(e.OnDuty[c.oncall]),
		asks("session", human && (c.session != "" || c.idle > 0)) && !w.session(c, &e),
		asks("risk", c.risk > 0) && !(somebody && e.Risk < c.risk),
		asks("schedule", c.schedule != "") && !wardOpen(c.schedule, w.site.now),
		asks("posture", true) && slices.ContainsFunc(c.posture, func(name string) bool { return !w.posture(name, holder) }):
		return false
	}
	return true
}

func (w *ward) login(c *wardWhen, e *compile.Evidence) bool {
	return slices.ContainsFunc(e.Logins, func(l compile.Login) bool {
		strong := len(c.amr) == 0 || slices.ContainsFunc(l.AMR, func(m string) bool { return slices.Contains(c.amr, m) })
		return strong && !l.At.After(w.site.weighed) && w.site.now.Before(l.Until) && w.site.now.Sub(l.At) < c.within
	})
}

func (w *ward) session(c *wardWhen, e *compile.Evidence) bool {
	p := e.Presence
	if p == nil || !w.site.now.Before(p.Until) || c.session != "" && c.session != p.Kind {
		return false
	}
	return c.idle == 0 || p.Idle+w.site.now.Sub(w.site.weighed) < c.idle
}

// posture tells whether somebody vouches for a posture, or its conditions held
// when they were weighed and what they were judged by still stands.
func (w *ward) posture(name, holder string) bool {
	e, somebody := w.site.known[holder]
	if !somebody || w.site.now.Before(e.Postures[name]) {
		return somebody
	}
	value := func(name string) (any, bool, bool) {
		a, ok := e.Attributes[name]
		return a.Value, ok && w.site.weighed.Before(a.Until), ok && w.site.now.Before(a.Until)
	}
	mdm, knownMDM, stillMDM := value("custom:mdm")
	os, _, stillOS := value("node:os")
	sick, _, stillSick := value("custom:sick")
	switch name {
	case "posture:managed":
		return stillMDM && mdm == true && stillOS && os != "xp"
	case "posture:sick":
		return stillSick && sick == true
	}
	return !knownMDM
}

func wardOpen(schedule string, at time.Time) bool {
	if schedule == "weekend" {
		day := at.UTC().Weekday()
		return day == time.Saturday || day == time.Sunday
	}
	chicago, err := time.LoadLocation("America/Chicago")
	if err != nil {
		panic(err)
	}
	at = at.In(chicago)
	return at.Weekday() >= time.Monday && at.Weekday() <= time.Friday && at.Hour() >= 7 && at.Hour() < 19
}
