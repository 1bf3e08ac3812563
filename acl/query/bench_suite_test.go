package query_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"runtime/debug"
	"testing"

	"github.com/cordonmesh/cordon/acl/query"
)

// BenchmarkSuite asks some six thousand questions about each of many small meshes, of
// which each has a policy of its own, and everything else besides: as one compares two
// implementations. It reports questions of reach a second.
func BenchmarkSuite(b *testing.B) {
	defer debug.SetGCPercent(debug.SetGCPercent(400)) // as cordonctl has it
	const lines = 100
	var batch []byte
	questions := 0
	for seed := range uint64(lines) {
		line := mustJSON(newSuite(seed).question())
		var a struct{ Compile, Message, Reach string }
		if err := json.Unmarshal(query.Answer(line), &a); err != nil || a.Compile != "ok" {
			b.Fatal(err, a.Compile, a.Message)
		}
		questions += len(a.Reach)
		batch = append(append(batch, line...), '\n')
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := query.Serve(bytes.NewReader(batch), io.Discard); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(questions*b.N)/b.Elapsed().Seconds(), "questions/s")
	b.ReportMetric(float64(questions)/lines, "questions/line")
}

// suite makes one line of a suite of checks: all of it follows from the seed.
type suite struct {
	*rand.Rand
	q question
	p policyFile
}

func newSuite(seed uint64) *suite { return &suite{Rand: rand.New(rand.NewPCG(seed, 1))} }

func (s *suite) question() question {
	s.q.V, s.q.ID = 1, "suite"
	s.mesh()
	s.policy()
	s.ask()
	s.q.Policy = string(mustJSON(s.p))
	return s.q
}

func (s *suite) login(i int) string { return fmt.Sprintf("u%d@h.example", i) }

func (s *suite) mesh() {
	for i := range 6 {
		role := []string{"owner", "admin", "member", "member", "member", ""}[i]
		s.q.Users = append(s.q.Users, person{Name: fmt.Sprint("u", i), Login: s.login(i), Role: role})
	}
	for i := range 3 + s.IntN(28) {
		n := device{Name: fmt.Sprint("n", i), IPv4: fmt.Sprint("100.64.0.", i+1), IPv6: fmt.Sprintf("fd7a:115c:a1e0::%x", i+1)}
		if i%2 == 0 {
			n.User = s.login(i % 5)
		} else {
			n.Tags = []string{fmt.Sprint("tag:t", s.IntN(6))}
		}
		switch s.IntN(6) {
		case 0:
			n.Advertised = []netip.Prefix{netip.MustParsePrefix(fmt.Sprintf("10.%d.0.0/16", i)), netip.MustParsePrefix(fmt.Sprintf("fd00:%x::/32", i+1))}
		case 1:
			n.Advertised = []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}
		}
		n.Approved = n.Advertised
		if n.Advertised != nil && len(n.subnets()) > 0 {
			n.Primary = n.Approved
		}
		s.q.Nodes = append(s.q.Nodes, n)
	}
}

func (s *suite) policy() {
	s.p.TagOwners = map[string][]string{}
	for i := range 6 {
		s.p.TagOwners[fmt.Sprint("tag:t", i)] = []string{s.login(0)}
	}
	s.p.Groups = map[string][]string{"group:a": {s.login(1), s.login(2)}, "group:b": {s.login(3)}, "group:c": {s.login(4), s.login(5)}}
	s.p.Hosts = map[string]string{"h1": "100.64.0.2", "h2": "10.1.0.0/16", "h3": "203.0.113.7"}
	s.p.IPSets = map[string][]string{"ipset:s": {"10.2.0.0/16", "remove 10.2.3.0/24"}}
	s.p.Grants = []grant{{Src: []string{"group:a"}, Dst: []string{"tag:t0"}, IP: []string{"tcp:443"}}}
	s.p.Tests = []policyTest{{Src: s.login(1), Accept: []string{"tag:t0:443"}}}
	for range 3 + s.IntN(20) {
		s.p.Grants = append(s.p.Grants, grant{Src: s.some(suiteSources()), Dst: s.some(suiteTargets()), IP: s.some([]string{"tcp:22", "tcp:443", "udp:53", "tcp:8000-8100", "icmp:*", "*"})})
	}
	for range 2 + s.IntN(3) {
		s.p.SSH = append(s.p.SSH, sshRule{Action: "accept", Src: s.some([]string{"group:a", "group:b", "autogroup:member"}), Dst: s.some([]string{"tag:t1", "tag:t2", "tag:t3"}), Users: []string{"root", "ops"}})
	}
	s.p.NodeAttrs = []nodeAttr{{Target: s.some(suiteSources()), Attr: []string{"x", "y"}}}
	s.p.AutoApprovers = &approvers{Routes: map[netip.Prefix][]string{netip.MustParsePrefix("10.0.0.0/8"): s.some([]string{"group:a", "tag:t1", "tag:t2"})}}
}

func suiteSources() []string {
	return []string{"group:a", "group:b", "group:c", "tag:t0", "tag:t1", "tag:t2", "tag:t3", "tag:t4", "u0@h.example", "autogroup:member", "*", "h2", "10.9.0.0/16"}
}

func suiteTargets() []string {
	return []string{"tag:t0", "tag:t1", "tag:t2", "tag:t3", "tag:t4", "tag:t5", "u1@h.example", "h1", "h2", "h3", "ipset:s", "100.64.0.0/30", "fd00:1::/32", "autogroup:internet"}
}

// some draws one to three of a list.
func (s *suite) some(from []string) []string {
	var all []string
	for _, i := range s.Perm(len(from))[:1+s.IntN(3)] {
		all = append(all, from[i])
	}
	return all
}

func (s *suite) ask() {
	var names []string
	for _, n := range s.q.Nodes {
		names = append(names, n.Name)
	}
	reach := &askReach{}
	for range 26 {
		reach.Src, reach.Dst = append(reach.Src, s.point(false)), append(reach.Dst, s.point(true))
	}
	for _, port := range []int{22, 53, 80, 443, 3389, 8000, 8050, 8101} {
		reach.Probes = append(reach.Probes, [2]int{protoTCP, port}, [2]int{protoUDP, port})
	}
	reach.Probes = append(reach.Probes, [2]int{protoICMP, 0}, [2]int{protoGRE, 0})
	s.q.Ask = ask{Reach: reach, Peers: names, Routes: names, Caps: names, Approve: names, Attrs: []string{"x", "y"}, SSH: &askSSH{Nodes: names, Logins: []string{"root", "ops"}}}
}

// point draws an address of any kind, and a node that it has to do with.
func (s *suite) point(dst bool) point {
	n := &s.q.Nodes[s.IntN(len(s.q.Nodes))]
	kinds := map[string][]string{
		"node": {n.IPv4, n.IPv6}, "route": {"10.1.2.3", "fd00:2::7"}, "exit": {"8.8.8.8", "2001:4860::1"},
		"outside": {"192.168.7.7", "2001:db8::1"}, "literal": {"203.0.113.7", "fd00:1::5"}, "unassigned": {"100.64.9.9", "fd7a:115c:a1e0::999"},
	}
	among := []string{"node", "node", "node", "route", "literal", "unassigned", "outside"}
	if dst {
		among[len(among)-1] = "exit"
	}
	kind := among[s.IntN(len(among))]
	return point{Kind: kind, Node: n.Name, IP: netip.MustParseAddr(kinds[kind][s.IntN(2)])}
}
