package compile_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/acl/compile"
	"github.com/cordonmesh/cordon/acl/policy"
)

// model is a policy as data, judged straight from its aliases: the slow and
// obvious reading of the dialect that the compiler is checked against.
type model struct {
	groups map[string][]string
	hosts  map[string]string
	rules  []modelRule
	exotic []string // whole grants that the model cannot judge: only that they change exactly is tested here
	forbid []string // and rules that forbid, likewise
}

type modelRule struct {
	acl      bool
	src, dst []string
	ports    []string // one for each dst of an acl; the ip list of a grant
	proto    string   // acl only
}

func ranges() []netip.Prefix {
	return []netip.Prefix{netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("fd7a::/48")}
}

// text writes the model as a policy file.
func (m model) text() string {
	var b strings.Builder
	b.WriteString(`{"tagOwners": {"tag:a": [], "tag:b": [], "tag:c": []}, "groups": {`)
	for _, name := range sortedKeys(m.groups) {
		fmt.Fprintf(&b, "%q: [%s],", name, quoted(m.groups[name]))
	}
	b.WriteString(`}, "hosts": {`)
	for _, name := range sortedKeys(m.hosts) {
		fmt.Fprintf(&b, "%q: %q,", name, m.hosts[name])
	}
	b.WriteString("},\n\"grants\": [")
	for _, r := range m.rules {
		if !r.acl {
			fmt.Fprintf(&b, "\n{\"src\": [%s], \"dst\": [%s], \"ip\": [%s]},", quoted(r.src), quoted(r.dst), quoted(r.ports))
		}
	}
	for _, grant := range m.exotic {
		b.WriteString("\n" + grant + ",")
	}
	b.WriteString("],\n\"acls\": [")
	for _, r := range m.rules {
		if !r.acl {
			continue
		}
		dst := make([]string, len(r.dst))
		for i := range r.dst {
			dst[i] = r.dst[i] + ":" + r.ports[i]
		}
		fmt.Fprintf(&b, "\n{\"action\": \"accept\", \"src\": [%s], \"dst\": [%s], \"proto\": %q},", quoted(r.src), quoted(dst), r.proto)
	}
	b.WriteString("],\n\"forbid\": [" + strings.Join(m.forbid, ",\n") + "]}\n")
	return b.String()
}

func quoted(all []string) string {
	q := make([]string, len(all))
	for i, s := range all {
		q[i] = strconv.Quote(s)
	}
	return strings.Join(q, ", ")
}

func sortedKeys[V any](m map[string]V) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// world is a model with a directory.
type world struct {
	model
	nodes map[string]compile.Node
}

// hostOf gives the node whose address a is; ok is false for none or several.
func (w world) hostOf(a netip.Addr) (found compile.Node, ok bool) {
	count := 0
	for _, n := range w.nodes {
		for _, own := range hosted(n) {
			if own == a {
				found, count = n, count+1
			}
		}
	}
	return found, count == 1
}

func (w world) contested(a netip.Addr) bool {
	count := 0
	for _, n := range w.nodes {
		for _, own := range hosted(n) {
			if own == a {
				count++
			}
		}
	}
	return count > 1
}

// routed tells whether a lies in an approved route that is no default route.
func (w world) routed(a netip.Addr) bool {
	for _, n := range w.nodes {
		for _, r := range n.Routes {
			if r.Bits() > 0 && r.Contains(a) {
				return true
			}
		}
	}
	return false
}

func (w world) matches(alias string, a netip.Addr, asSource bool) bool {
	host, hosted := w.hostOf(a)
	person := hosted && len(host.Tags) == 0 && host.User != ""
	switch {
	case alias == "*" && asSource:
		return slices.ContainsFunc(ranges(), func(p netip.Prefix) bool { return p.Contains(a) }) || w.routed(a)
	case alias == "*":
		return hosted || w.routed(a)
	case alias == "autogroup:member", alias == "autogroup:self":
		return person
	case alias == "autogroup:tagged":
		return hosted && len(host.Tags) > 0
	case strings.HasPrefix(alias, "group:"):
		return person && slices.Contains(w.groups[alias], host.User)
	case strings.HasPrefix(alias, "tag:"):
		return hosted && slices.Contains(host.Tags, alias)
	case strings.Contains(alias, "@"):
		return person && host.User == alias
	}
	if text, ok := w.hosts[alias]; ok {
		alias = text
	}
	if p, err := netip.ParsePrefix(alias); err == nil {
		return p.Contains(a)
	}
	return netip.MustParseAddr(alias) == a
}

// allows judges one flow by one destination of one rule after the other. With
// port -1, anything open will do.
func (w world) allows(src, dst netip.Addr, proto acl.Protocol, port int) bool {
	if w.contested(src) || w.contested(dst) || w.seat(dst) {
		return false
	}
	_, hosted := w.hostOf(dst)
	if !hosted && !w.routed(dst) {
		return false
	}
	from, okFrom := w.hostOf(src)
	to, okTo := w.hostOf(dst)
	same := okFrom && okTo && len(from.Tags) == 0 && len(to.Tags) == 0 && from.User != "" && from.User == to.User
	for _, r := range w.rules {
		if !slices.ContainsFunc(r.src, func(s string) bool { return w.matches(s, src, true) }) {
			continue
		}
		for i, d := range r.dst {
			if w.matches(d, dst, false) && (d != "autogroup:self" || same) && r.opens(i, proto, port) {
				return true
			}
		}
	}
	return false
}

// opens reads what a rule opens at its i-th destination.
func (r modelRule) opens(i int, proto acl.Protocol, port int) bool {
	if port < 0 || proto == acl.ICMP || proto == acl.ICMPv6 {
		return true // an echo request passes wherever anything is open
	}
	if r.acl {
		return opensText(r.proto, r.ports[i], proto, port)
	}
	return slices.ContainsFunc(r.ports, func(one string) bool {
		name, ports, ok := strings.Cut(one, ":")
		if !ok {
			name, ports = "", one
		}
		return opensText(name, ports, proto, port)
	})
}

func opensText(name, ports string, proto acl.Protocol, port int) bool {
	numbers := map[string]acl.Protocol{"tcp": 6, "udp": 17, "icmp": 1, "47": 47}
	if name == "" && proto != acl.TCP && proto != acl.UDP || name != "" && numbers[name] != proto {
		return false
	}
	low, high, isRange := strings.Cut(ports, "-")
	if !isRange {
		high = low
	}
	if ports == "*" {
		return true
	}
	first, _ := strconv.Atoi(low)
	last, _ := strconv.Atoi(high)
	return first <= port && port <= last
}

// points gives addresses that stand for everything a node has or routes: both
// ends of each prefix that could make a difference. What another router carries
// more precisely counts too: a rule about it lands on both.
func (w world) points(n compile.Node) []netip.Addr {
	all := hosted(n)
	for _, route := range n.Routes {
		if route.Bits() == 0 {
			continue
		}
		for _, a := range w.ends() {
			if _, hosted := w.hostOf(a); route.Contains(a) && !hosted {
				all = append(all, a)
			}
		}
	}
	return all
}

// ends gives both ends of every prefix that the world knows.
func (w world) ends() []netip.Addr {
	var all []netip.Addr
	add := func(p netip.Prefix) {
		last := p.Masked().Addr().AsSlice()
		for bit := p.Bits(); bit < len(last)*8; bit++ {
			last[bit/8] |= 0x80 >> (bit % 8)
		}
		end, _ := netip.AddrFromSlice(last)
		all = append(all, p.Masked().Addr(), end)
	}
	for _, text := range append(slices.Clone(prefixPool()), literalPool()...) {
		if p, err := netip.ParsePrefix(text); err == nil {
			add(p)
		} else {
			a := netip.MustParseAddr(text)
			all = append(all, a)
		}
	}
	for _, p := range ranges() {
		add(p)
	}
	for _, n := range w.nodes {
		all = append(all, hosted(n)...)
	}
	slices.SortFunc(all, netip.Addr.Compare)
	return slices.Compact(all)
}

func (w world) sees(a, b compile.Node) bool {
	for _, x := range w.points(a) {
		for _, y := range w.points(b) {
			if w.allows(x, y, acl.TCP, -1) || w.allows(y, x, acl.TCP, -1) {
				return true
			}
		}
	}
	return false
}

// The pools are small, so that things meet and nest.
func loginPool() []string { return []string{"ada@h", "ben@h", "cyd@h"} }
func tagPool() []string   { return []string{"tag:a", "tag:b", "tag:c"} }
func idPool() []string    { return []string{"n1", "n2", "n3", "n4", "n5", "n6"} }
func prefixPool() []string {
	return []string{"10.0.0.0/8", "10.33.0.0/16", "10.33.1.0/24", "10.33.1.5/32", "192.168.0.0/24", "fd00:1::/64",
		"0.0.0.0/0", "::/0", "100.64.0.0/30", "100.64.0.2/32"}
}
func literalPool() []string {
	return []string{"10.33.0.0/16", "10.33.1.0/24", "10.33.0.0/17", "10.33.1.5", "100.64.0.1", "100.64.0.0/29", "fd7a::2", "fd00::/16",
		"8.8.8.0/24", "192.168.0.0/16"}
}

func draw[T any](t *rapid.T, label string, from []T) T { return rapid.SampledFrom(from).Draw(t, label) }

func drawModel(t *rapid.T) model {
	m := model{groups: map[string][]string{}, hosts: map[string]string{"h1": draw(t, "host", literalPool()), "h2": "100.64.0.1"}}
	for _, g := range []string{"group:x", "group:y"} {
		m.groups[g] = rapid.SliceOfNDistinct(rapid.SampledFrom(loginPool()), 0, 3, rapid.ID[string]).Draw(t, g)
	}
	people := append(append([]string{"group:x", "group:y", "autogroup:member"}, loginPool()...), "autogroup:member")
	all := append(append(append(slices.Clone(people), tagPool()...), "*", "autogroup:tagged", "h1", "h2"), literalPool()...)
	for range rapid.IntRange(0, 6).Draw(t, "rules") {
		m.rules = append(m.rules, drawRule(t, people, all))
	}
	return m
}

func drawRule(t *rapid.T, people, all []string) modelRule {
	r := modelRule{acl: rapid.Bool().Draw(t, "acl"), dst: rapid.SliceOfN(rapid.SampledFrom(all), 0, 3).Draw(t, "dst")}
	from := all
	if rapid.IntRange(0, 3).Draw(t, "self") == 0 {
		r.dst = append(r.dst, "autogroup:self")
		from = people
		if r.acl {
			from = append(slices.Clone(people), "*")
		}
	}
	r.src = rapid.SliceOfN(rapid.SampledFrom(from), 0, 3).Draw(t, "src")
	if !r.acl {
		r.ports = rapid.SliceOfN(rapid.SampledFrom([]string{"*", "22", "80-90", "tcp:22", "udp:*", "icmp:*", "47:*"}), 1, 2).Draw(t, "ip")
		return r
	}
	r.proto = draw(t, "proto", []string{"", "", "tcp", "udp", "icmp", "47"})
	for range r.dst {
		ports := "*"
		if r.proto != "icmp" && r.proto != "47" {
			ports = draw(t, "ports", []string{"*", "22", "80-90"})
		}
		r.ports = append(r.ports, ports)
	}
	return r
}

// drawExotic draws grants that land on nodes by more than their classes.
func drawExotic(t *rapid.T) []string {
	pool := []string{
		`{"src": ["*"], "dst": ["10.33.0.0/16"], "ip": ["22"], "via": ["tag:a"]}`,
		`{"src": ["*"], "dst": ["*"], "ip": ["*"], "via": ["tag:b"]}`,
		`{"src": ["autogroup:member"], "dst": ["autogroup:internet"], "ip": ["*"]}`,
		`{"src": ["tag:b"], "dst": ["autogroup:internet"], "ip": ["*"], "via": ["tag:a", "tag:c"]}`,
		`{"src": ["group:x"], "dst": ["*"], "app": {"h.example/cap/x": [1]}}`,
		`{"src": ["autogroup:danger-all"], "dst": ["tag:a"], "ip": ["22"]}`,
		`{"src": ["ada@h"], "dst": ["8.8.8.0/24", "100.64.0.0/29"], "ip": ["22"]}`,
	}
	return rapid.SliceOfN(rapid.SampledFrom(pool), 0, 3).Draw(t, "exotic")
}

// drawForbids draws what is forbidden at nodes, behind routers and beyond exit nodes.
func drawForbids(t *rapid.T) []string {
	pool := []string{
		`{"src": ["*"], "dst": ["10.33.0.0/16"]}`,
		`{"src": ["group:x"], "dst": ["8.8.8.0/24", "fd00::/16"], "ip": ["22"]}`,
		`{"src": ["tag:a", "cyd@h"], "dst": ["*"]}`,
		`{"src": ["autogroup:member"], "dst": ["tag:c", "192.168.0.0/16"]}`,
		`{"src": ["tag:b"], "dst": ["autogroup:internet"]}`,
	}
	return rapid.SliceOfN(rapid.SampledFrom(pool), 0, 2).Draw(t, "forbid")
}

func drawNode(t *rapid.T, id string) compile.Node {
	n := compile.Node{ID: id, Name: draw(t, "name", []string{"x", "y"})}
	switch rapid.IntRange(0, 6).Draw(t, "kind") {
	case 0:
	case 1, 2, 3:
		n.User = draw(t, "user", loginPool())
	default:
		n.User = draw(t, "creator", loginPool()) // without effect: it is tagged
		n.Tags = rapid.SliceOfN(rapid.SampledFrom(tagPool()), 1, 2).Draw(t, "tags")
	}
	number := id[1:]
	if rapid.IntRange(0, 15).Draw(t, "clash") == 0 {
		number = "1"
	}
	n.Addrs = append(n.Addrs, netip.MustParseAddr("100.64.0."+number))
	if rapid.IntRange(0, 3).Draw(t, "six") > 0 {
		n.Addrs = append(n.Addrs, netip.MustParseAddr("fd7a::"+number))
	}
	for _, text := range rapid.SliceOfN(rapid.SampledFrom(prefixPool()), 0, 2).Draw(t, "routes") {
		n.Routes = append(n.Routes, netip.MustParsePrefix(text))
	}
	return n
}

func drawNodes(t *rapid.T) map[string]compile.Node {
	nodes := map[string]compile.Node{}
	for _, id := range rapid.SliceOfNDistinct(rapid.SampledFrom(idPool()), 0, 6, rapid.ID[string]).Draw(t, "ids") {
		nodes[id] = drawSeated(t, id)
	}
	return nodes
}

// TB is what testing.T and rapid.T share.
type TB interface {
	Helper()
	Fatalf(string, ...any)
}

func parse(t TB, text string) *policy.Policy {
	t.Helper()
	p, _, err := policy.Parse("p.hujson", []byte(text))
	if err != nil {
		t.Fatalf("Parse: %v\n%s", err, text)
	}
	return p
}

var _ TB = (*testing.T)(nil)
