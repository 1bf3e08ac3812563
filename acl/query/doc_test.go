package query_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tailscale/hujson"

	"github.com/cordonmesh/cordon/acl/compile"
	"github.com/cordonmesh/cordon/acl/policy"
	"github.com/cordonmesh/cordon/acl/query"
)

// block is one fenced example of docs/POLICY.md.
type block struct {
	line int    // of its first line, from 1
	info string // what stands behind the fence: "hujson refused"
	text string
}

// TestDocumentedPolicies: what docs/POLICY.md shows is read as the page says, and
// the tests that stand in it hold. The words behind a fence are:
//
//	hujson           a policy that loads without a warning
//	hujson part      sections that load with the definitions of "hujson base"
//	hujson base      those definitions, a policy as well
//	hujson warns     a policy that loads; it warns in the lines that say so
//	hujson refused   a policy with an error in each line that says so, and no other
func TestDocumentedPolicies(t *testing.T) {
	var base string
	read, tested := 0, 0
	for _, b := range documentedBlocks(t) {
		switch b.info {
		case "hujson base":
			base = b.text
			fallthrough
		case "hujson", "hujson warns":
			tested += loads(t, b)
		case "hujson part":
			tested += loads(t, block{b.line, b.info, joined(t, base, b)})
		case "hujson refused":
			isRefused(t, b)
		default:
			if strings.HasPrefix(b.info, "hujson") {
				t.Errorf("POLICY.md:%d: no test knows what %q is", b.line, b.info)
			}
			continue
		}
		read++
	}
	if read < 10 || tested < 5 {
		t.Errorf("%d examples and %d with tests were found: the page is read wrongly", read, tested)
	}
}

// TestDocumentedQuestion: the page's answer is the answer to the page's question.
func TestDocumentedQuestion(t *testing.T) {
	question, want := "", ""
	for _, b := range documentedBlocks(t) {
		switch b.info {
		case "json question":
			question = b.text
		case "json answer":
			want = b.text
		}
	}
	var line, wanted any
	if err := errors.Join(json.Unmarshal([]byte(question), &line), json.Unmarshal([]byte(want), &wanted)); err != nil {
		t.Fatal(err)
	}
	one, _ := json.Marshal(line)
	canonical, _ := json.Marshal(wanted)
	var got any
	if err := json.Unmarshal(query.Answer(one), &got); err != nil {
		t.Fatal(err)
	}
	if text, _ := json.Marshal(got); string(text) != string(canonical) {
		t.Errorf("the answer is\n%s\nand the page says\n%s", text, canonical)
	}
}

// documentedBlocks gives the fenced examples of the page in their order.
func documentedBlocks(t *testing.T) []block {
	t.Helper()
	page, err := os.ReadFile("../../docs/POLICY.md")
	if err != nil {
		t.Fatal(err)
	}
	var all []block
	var open *block
	for i, line := range strings.Split(string(page), "\n") {
		info, fence := strings.CutPrefix(line, "```")
		switch {
		case fence && open == nil:
			open = &block{line: i + 2, info: info}
		case fence:
			all = append(all, *open)
			open = nil
		case open != nil:
			open.text += line + "\n"
		}
	}
	if open != nil {
		t.Fatalf("POLICY.md:%d: the example does not end", open.line)
	}
	return all
}

// loads checks a policy that is accepted. It gives 1 if the policy has tests.
func loads(t *testing.T, b block) int {
	t.Helper()
	written := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC) // the page has days in it, which pass
	pol, warnings, err := policy.Options{Now: written}.Parse("POLICY.md", []byte(b.text))
	if err != nil {
		t.Errorf("the example at POLICY.md:%d is refused: %v", b.line, err)
		return 0
	}
	said := make(map[int]string)
	for _, w := range warnings {
		said[w.Pos.Line] += w.Why
	}
	announced(t, b, "// warns", said)
	m := smallMesh(t, pol, b.text)
	failures, err := m.Test(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ssh, err := m.TestSSH(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range append(failures, ssh...) {
		t.Errorf("the example at POLICY.md:%d: %s", b.line, f)
	}
	return min(1, len(pol.Tests())+len(pol.SSHTests()))
}

func isRefused(t *testing.T, b block) {
	t.Helper()
	_, _, err := policy.Parse("POLICY.md", []byte(b.text))
	var all policy.Errors
	if !errors.As(err, &all) {
		t.Errorf("the example at POLICY.md:%d is not refused", b.line)
		return
	}
	said := make(map[int]string)
	for _, e := range all {
		said[e.Pos.Line] += e.Error()
	}
	announced(t, b, "// refused", said)
}

// announced checks that what was said of each line is what the line announces:
// with the mark alone, or with words that must be among those said.
func announced(t *testing.T, b block, mark string, said map[int]string) {
	t.Helper()
	for i, line := range strings.Split(b.text, "\n") {
		_, words, marked := strings.Cut(line, mark)
		have, complained := said[i+1]
		words = strings.TrimSpace(strings.TrimPrefix(words, ":"))
		if marked != complained || !strings.Contains(have, words) {
			t.Errorf("POLICY.md:%d: the page says %q, and reading says %q", b.line+i, strings.TrimSpace(line), have)
		}
	}
}

// joined gives a policy of sections and of the definitions that they do not have.
func joined(t *testing.T, base string, part block) string {
	t.Helper()
	all := sectionsOf(t, base)
	maps.Copy(all, sectionsOf(t, "{"+part.text+"}"))
	text, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func sectionsOf(t *testing.T, text string) map[string]json.RawMessage {
	t.Helper()
	plain, err := hujson.Standardize([]byte(text))
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	all := make(map[string]json.RawMessage)
	if err := json.Unmarshal(plain, &all); err != nil {
		t.Fatal(err)
	}
	return all
}

// smallMesh has a laptop for each login that the text names, a machine for each
// tag, and all hosts behind each tag:gateway-*, which are exit nodes too.
func smallMesh(t *testing.T, pol *policy.Policy, text string) *compile.Mesh {
	t.Helper()
	sections := sectionsOf(t, text)
	var hosts map[string]string
	var tags map[string]json.RawMessage
	for name, into := range map[string]any{"hosts": &hosts, "tagOwners": &tags} {
		if sections[name] != nil && json.Unmarshal(sections[name], into) != nil {
			t.Fatalf("%s is no object", name)
		}
	}
	routes := []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}
	for _, host := range hosts {
		if !strings.Contains(host, "/") {
			host += "/32"
		}
		routes = append(routes, netip.MustParsePrefix(host))
	}
	var nodes []compile.Node
	for _, name := range slices.Sorted(maps.Keys(namesIn(text, tags))) {
		n := compile.Node{ID: name, Name: name, Addrs: []netip.Addr{netip.AddrFrom4([4]byte{100, 64, 1, byte(len(nodes) + 1)})}}
		if strings.HasPrefix(name, "tag:") {
			n.Tags = []string{name}
		} else {
			n.User = name
		}
		if strings.HasPrefix(name, "tag:gateway") {
			n.Routes = routes
		}
		nodes = append(nodes, n)
	}
	m := compile.New(pol, []netip.Prefix{netip.MustParsePrefix("100.64.0.0/10")})
	m.Load(nodes)
	m.At(time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC))
	return m
}

// namesIn gives the logins and the tags for which there is a machine.
func namesIn(text string, tags map[string]json.RawMessage) map[string]bool {
	all := make(map[string]bool)
	for _, login := range regexp.MustCompile(`"([a-z]+@[a-z.]+)"`).FindAllStringSubmatch(text, -1) {
		all[login[1]] = true
	}
	for tag := range tags {
		all[fmt.Sprint(tag)] = true
	}
	return all
}
