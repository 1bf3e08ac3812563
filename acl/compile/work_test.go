package compile_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/acl/compile"
	"github.com/cordonmesh/cordon/acl/policy"
)

// tested judges a mesh's tests to their end.
func tested(t *testing.T, m *compile.Mesh) []compile.TestFailure {
	t.Helper()
	failures, err := m.Test(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return failures
}

// repeated is n entries of a list.
func repeated(n int, entry func(i int) string) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(entry(i))
		b.WriteByte(',')
	}
	return b.String()
}

// crowd gives a mesh of 2000 nodes, of 500 people and of the tags t0, t1 and on to t99,
// under a policy of 3000 grants.
func crowd(t *testing.T, sections string) *compile.Mesh {
	t.Helper()
	text := `{"tagOwners": {` + repeated(100, func(i int) string { return fmt.Sprintf(`"tag:t%d": []`, i) }) + `}, "grants": [` +
		repeated(3000, func(i int) string {
			return fmt.Sprintf(`{"src": ["tag:t%d", "10.%d.%d.0/24"], "dst": ["tag:t%d"], "ip": ["tcp:%d"]}`, i%100, i/250, i%250, (i+1)%100, 1000+i)
		}) + `], ` + sections + `}`
	pol, _, err := policy.Parse("crowd", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	m := compile.New(pol, ranges())
	nodes := make([]compile.Node, 2000)
	for i := range nodes {
		nodes[i] = compile.Node{ID: fmt.Sprintf("n%04d", i), Addrs: []netip.Addr{netip.AddrFrom4([4]byte{100, 64, byte(i >> 8), byte(i)})}}
		if nodes[i].User = fmt.Sprintf("p%d@h", i); i%4 > 0 {
			nodes[i].Tags = []string{fmt.Sprintf("tag:t%d", i%100)}
		}
	}
	m.Load(nodes)
	m.At(time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC))
	return m
}

// Ten thousand tests are judged to their end, whatever they suppose, and whoever is
// meant: what the rules do not tell apart is asked once.
func TestManyTestsAreJudged(t *testing.T) {
	for name, test := range map[string]func(i int) string{
		"tags": func(i int) string {
			return fmt.Sprintf(`{"src": "tag:t%d", "accept": ["tag:t%d:%d"]}`, i%100, (i+1)%100, 1000+i%3000)
		},
		"members": func(i int) string {
			return fmt.Sprintf(`{"src": "autogroup:member", "deny": ["tag:t%d:%d"]}`, i%100, i%900+1)
		},
		"people": func(i int) string { return fmt.Sprintf(`{"src": "p%d@h", "deny": ["tag:t%d:22"]}`, i%500*4, i%100) },
		"supposed": func(i int) string {
			return fmt.Sprintf(`{"src": "tag:t%d", "given": {}, "accept": ["tag:t%d:%d"]}`, i%100, (i+1)%100, 1000+i%3000)
		},
		"made up": func(i int) string {
			return fmt.Sprintf(`{"src": "q%d@h", "given": {"mfaAge": "1h"}, "deny": ["tag:t%d:22"]}`, i, i%100)
		},
		"attributes": func(i int) string {
			return fmt.Sprintf(`{"src": "autogroup:member", "srcPostureAttrs": {"node:os": "linux"}, "deny": ["tag:t%d:22"]}`, i%100)
		},
	} {
		m := crowd(t, `"tests": [`+repeated(9999, test)+`]`)
		for _, f := range tested(t, m) {
			if !f.NoDevice {
				t.Fatalf("%s: %s", name, f)
			}
		}
	}
}

// Tests that cost too much end in an error that names the one that costs most.
func TestTooManyTestsAreRefused(t *testing.T) {
	for name, sections := range map[string]string{
		"each part of a network": `"tests": [{"src": "tag:t1", "deny": ["tag:t1:22"]},` + repeated(9999, func(i int) string { return fmt.Sprintf(`{"src": "10.0.0.0/8", "deny": ["tag:t%d:22"]}`, i%100) }) + `]`,
		"all to all":             `"tests": [{"src": "tag:t1", "deny": ["tag:t1:22"]},` + repeated(9999, func(int) string { return `{"src": "autogroup:tagged", "deny": ["autogroup:tagged:22"]}` }) + `]`,
		"one long list":          `"tests": [{"src": "tag:t1", "deny": ["tag:t1:22"]}, {"src": "autogroup:tagged", "deny": [` + repeated(99_999, func(int) string { return `"autogroup:tagged:22"` }) + `]}]`,
		"many assets": `"hosts": {` + repeated(2000, func(i int) string { return fmt.Sprintf(`"h%d": "10.9.%d.%d"`, i, i/250, i%250) }) + `}, "ipsets": {"ipset:all": ["10.9.0.0/16"]}, "assets": [` +
			repeated(5000, func(i int) string {
				return fmt.Sprintf(`{"tag": "tag:a%d", "behind": "tag:t1", "bind": "mac", "match": {"ipset": "ipset:all"}}`, i)
			}) +
			`], "tests": [{"src": "tag:t1", "deny": ["tag:t1:22"]}, {"src": "tag:t1", "given": {}, "deny": ["tag:t2:22"]}]`,
	} {
		_, err := crowd(t, sections).Test(t.Context())
		var tooMuch *compile.TooMuchWork
		if !errors.As(err, &tooMuch) || tooMuch.Pos.Column <= strings.Index(sections, `"deny": ["tag:t1:22"]`) {
			t.Errorf("%s: %v", name, err)
		}
	}
	m := crowd(t, `"groups": {"group:all": [`+repeated(500, func(i int) string { return fmt.Sprintf(`"p%d@h"`, i*4) })+`]}, "ssh": [`+repeated(9000, func(i int) string {
		return fmt.Sprintf(`{"action": "accept", "src": ["p%d@h"], "dst": ["tag:t%d"], "users": ["u"]}`, i%500*4, i%100)
	})+`],
		"sshTests": [`+repeated(500, func(i int) string {
		return fmt.Sprintf(`{"src": "group:all", "dst": ["tag:t%d", "tag:t%d"], "deny": ["root"]}`, i%100, (i+1)%100)
	})+`]`)
	var tooMuch *compile.TooMuchWork
	if _, err := m.TestSSH(t.Context()); !errors.As(err, &tooMuch) {
		t.Error(err)
	}
}

// Of a thousand failures the first hundred are told of, and how many more there are: each
// thing once, though two expectations lack the same source.
func TestFailuresAreCounted(t *testing.T) {
	m := crowd(t, `"tests": [`+repeated(1000, func(i int) string {
		return fmt.Sprintf(`{"src": "tag:t%d", "accept": ["tag:t%d:22"]}`, i%25*4+1, i%25*4+2)
	})+
		repeated(500, func(i int) string {
			return fmt.Sprintf(`{"src": "nobody%d@h", "accept": ["tag:t1:22", "tag:t2:22"]}`, i)
		})+`]`)
	failures := tested(t, m)
	if len(failures) != 202 {
		t.Fatalf("%d failures", len(failures))
	}
	if last := failures[200]; last.NoDevice || !strings.HasSuffix(last.Text, "from here on 900 more expectations do not hold") {
		t.Error(last)
	}
	if last := failures[201]; !last.NoDevice || !strings.HasSuffix(last.Text, "from here on 400 more have no device to test with") {
		t.Error(last)
	}
	if !strings.Contains(failures[0].Text, "; the nearest is ") {
		t.Error(failures[0])
	}
}

// Judging ends when nobody waits for it.
func TestJudgingEndsWithItsContext(t *testing.T) {
	m := crowd(t, `"tests": [`+repeated(9, func(i int) string { return `{"src": "tag:t1", "deny": ["tag:t1:22"]}` })+`],
		"sshTests": [{"src": "tag:t1", "dst": ["tag:t2"], "deny": ["root"]}]`)
	gone, leave := context.WithCancel(t.Context())
	leave()
	if _, err := m.Test(gone); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if _, err := m.TestResults(gone); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if _, err := m.TestSSH(gone); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// Devices alike but for what is known of them are two questions.
func TestDevicesAreAskedByWhatIsKnownOfThem(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for known, failing := range map[int]int{1: 1, 2: 0} {
		m := compile.New(parse(t, `{"groups": {"group:it": ["ada@h", "ben@h"]}, "tagOwners": {"tag:ehr": []}, "postures": {"posture:ok": ["custom:mdm == true"]},
			"grants": [{"src": ["group:it"], "dst": ["tag:ehr"], "ip": ["tcp:443"], "srcPosture": ["posture:ok"]}], "tests": [{"src": "group:it", "accept": ["tag:ehr:443"]}]}`), ranges())
		nodes := []compile.Node{
			{ID: "a", User: "ada@h", Addrs: two("100.64.0.1", "fd7a::1")}, {ID: "b", User: "ben@h", Addrs: two("100.64.0.2", "fd7a::2")},
			{ID: "ehr", Tags: []string{"tag:ehr"}, Addrs: two("100.64.0.3", "fd7a::3")},
		}
		for i := range known {
			nodes[i].Facts = []acl.FactEnd{{Fact: "posture:ok", Until: now.Add(time.Hour)}}
		}
		m.Load(nodes)
		m.At(now)
		if failures := tested(t, m); len(failures) != failing {
			t.Errorf("of %d devices that are well: %v", known, failures)
		}
	}
}
