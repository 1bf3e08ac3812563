package migrate_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/tailscale/hujson"

	"github.com/cordonmesh/cordon/acl/migrate"
	"github.com/cordonmesh/cordon/acl/policy"
)

// reported gives the items in lines: line, place and effect. Of whole sections that
// came along it gives none: what they mean is in the reports of testdata.
func reported(c migrate.Carried) string {
	var b strings.Builder
	for _, item := range c.Items {
		if item.Carried && item.Effect != migrate.Same && item.Where != "the file" && !strings.ContainsAny(item.Where, ".[") {
			continue
		}
		fmt.Fprintf(&b, "%d %s: %s\n", item.Line, item.Where, item.Effect)
	}
	return b.String()
}

// bare gives a policy without comments, blanks and last commas.
func bare(t *testing.T, text string) string {
	t.Helper()
	v, err := hujson.Parse([]byte(text))
	if err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	v.Minimize()
	return string(v.Pack())
}

func TestCarried(t *testing.T) {
	const less, none, narrowed, unproved, same = migrate.Less, migrate.None, migrate.Narrowed, migrate.Unproved, migrate.Same
	for _, c := range []struct {
		what, text, want, report string
		faithful                 bool
	}{
		{"what is ours already", `{"tagOwners": {"tag:a": []}, "grants": [{"src": ["a@b"], "dst": ["tag:a"], "ip": ["22"]}]}`,
			`{"tagOwners":{"tag:a":[]},"grants":[{"src":["a@b"],"dst":["tag:a"],"ip":["22"]}]}`, "", true},
		{"other spellings and old names", `{"Hosts": {"h": "10.0.0.1"}, "ACLs": [{"action": "accept", "users": ["a@b"], "ports": ["h:22"]}]}`,
			`{"hosts":{"h":"10.0.0.1"},"acls":[{"action":"accept","src":["a@b"],"dst":["h:22"]}]}`,
			fmt.Sprintf("1 Hosts: %s\n1 ACLs: %[1]s\n1 ACLs[0].users: %[1]s\n1 ACLs[0].ports: %[1]s\n", same), true},
		{"other spellings inside of rules", `{"SSH": [{"Action": "accept", "Src": ["a@b"], "DST": ["tag:A"], "Users": ["root"]}], "TagOwners": {"tag:a": []},
				"NodeAttrs": [{"Target": ["tag:a"], "Attr": ["x"]}], "AutoApprovers": {"Routes": {"10.0.0.0/8": ["tag:a"]}},
				"acls": [{"Action": "accept", "Proto": "TCP", "Users": ["a@b"], "Ports": ["tag:a:22"]}], "Tests": [{"User": "a@b", "Allow": ["tag:a:22"]}]}`,
			`{"ssh":[{"action":"accept","src":["a@b"],"dst":["tag:A"],"users":["root"]}],"tagOwners":{"tag:a":[]},` +
				`"nodeAttrs":[{"target":["tag:a"],"attr":["x"]}],"autoApprovers":{"routes":{"10.0.0.0/8":["tag:a"]}},` +
				`"acls":[{"action":"accept","proto":"TCP","src":["a@b"],"dst":["tag:a:22"]}],"tests":[{"src":"a@b","accept":["tag:a:22"]}]}`,
			each(same, "1 SSH", "1 SSH[0].Action", "1 SSH[0].Src", "1 SSH[0].DST", "1 SSH[0].Users", "1 TagOwners", "2 NodeAttrs", "2 NodeAttrs[0].Target",
				"2 NodeAttrs[0].Attr", "2 AutoApprovers", "2 AutoApprovers.Routes", "3 acls[0].Action", "3 acls[0].Proto", "3 acls[0].Users", "3 acls[0].Ports",
				"3 Tests", "3 Tests[0].User", "3 Tests[0].Allow"), false},
		{"keys without an effect here", "{\"derpMap\": {\"OmitDefaultRegions\": true},\n\"acls\": [], \"randomizeClientPort\": true}",
			`{"acls":[]}`, fmt.Sprintf("1 derpMap: %s\n2 randomizeClientPort: %[1]s\n", none), true},
		{"a destination of another kind", `{"acls": [{"action": "accept", "src": ["a@b"], "dst": ["service:web:443", "10.0.0.1:22"]}]}`,
			`{"acls":[{"action":"accept","src":["a@b"],"dst":["10.0.0.1:22"]}]}`, fmt.Sprintf("1 acls[0].dst[0]: %s\n", less), false},
		{"the last of a list", `{"acls": [{"action": "accept", "src": ["a@b"], "dst": ["10.0.0.1:22", "service:web:443"]}]}`,
			`{"acls":[{"action":"accept","src":["a@b"],"dst":["10.0.0.1:22"]}]}`, fmt.Sprintf("1 acls[0].dst[1]: %s\n", less), false},
		{"a condition takes its rule along", "{\"grants\": [\n{\"src\": [\"a@b\"], \"dst\": [\"10.0.0.1\"], \"ip\": [\"22\"], \"srcPosture\": [\"posture:gone\"]},\n{\"src\": [\"a@b\"], \"dst\": [\"10.0.0.1\"], \"ip\": [\"80\"]}]}",
			`{"grants":[{"src":["a@b"],"dst":["10.0.0.1"],"ip":["80"]}]}`, fmt.Sprintf("2 grants[0]: %s\n", less), false},
		{"a key of a rule that nobody knows", `{"grants": [{"src": ["a@b"], "dst": ["10.0.0.1"], "ip": ["22"], "onlyOnSundays": true}]}`,
			`{"grants":[]}`, fmt.Sprintf("1 grants[0]: %s\n", less), false},
		{"a section that nobody knows", "{\n\"quotas\": {\"a\": [1]}, // why\n\"acls\": []}", `{"acls":[]}`, fmt.Sprintf("2 quotas: %s\n", narrowed), false},
		{"a set that takes away takes its rules along", `{"ipsets": {"ipset:x": ["10.0.0.0/8", "remove nowhere"]}, "grants": [{"src": ["a@b"], "dst": ["ipset:x", "10.1.1.1"], "ip": ["22"]}]}`,
			`{"ipsets":{},"grants":[{"src":["a@b"],"dst":["10.1.1.1"],"ip":["22"]}]}`, fmt.Sprintf("1 ipsets.ipset:x: %s\n1 grants[0].dst[0]: %[1]s\n", less), false},
		{"a member of a group", `{"groups": {"group:a": ["group:b", "a@b"]}, "acls": []}`, `{"groups":{"group:a":["a@b"]},"acls":[]}`, fmt.Sprintf("1 groups.group:a[0]: %s\n", less), false},
		{"a test", `{"acls": [], "tests": [{"src": "a@b", "deny": ["10.0.0.1:22"], "srcPostureAttrs": {"a": "b"}}]}`, `{"acls":[],"tests":[]}`, fmt.Sprintf("1 tests[0]: %s\n", unproved), false},
		{"ssh stands and falls together", `{"acls": [], "ssh": [{"action": "check", "src": ["a@b"], "dst": ["a@b"], "users": ["*"]}, {"action": "accept", "src": ["a@b"], "dst": ["a@b"], "users": ["root"]}], "sshTests": [{"src": "a@b", "dst": ["a@b"], "accept": ["root"]}]}`,
			`{"acls":[]}`, fmt.Sprintf("1 ssh: %s\n1 sshTests: %s\n", less, unproved), false},
		{"a comment in what is left out", "{\"acls\": [{\"action\": \"accept\", \"src\": [\"a@b\"], /* one */ \"proto\": \"pigeon\", \"dst\": [\"10.0.0.1:22\"]} /* two */, ]}",
			`{"acls":[]}`, fmt.Sprintf("1 acls[0]: %s\n", less), false},
		{"no rules at all", `{"groups": {}}`, `{"groups":{}}`, fmt.Sprintf("1 the file: %s\n", less), false},
	} {
		got, err := migrate.Options{}.File("p", []byte(c.text))
		if err != nil {
			t.Errorf("%s: %v", c.what, err)
			continue
		}
		if bare(t, got.Policy) != c.want {
			t.Errorf("%s: the policy is\n%s\nwant\n%s", c.what, got.Policy, c.want)
		}
		if reported(got) != c.report || got.Faithful() != c.faithful {
			t.Errorf("%s: faithful: %t, the report is\n%swant\n%s", c.what, got.Faithful(), reported(got), c.report)
		}
		if _, _, err := policy.Parse("p", []byte(got.Policy)); err != nil {
			t.Errorf("%s: what was printed is refused: %v", c.what, err)
		}
		if formatted, err := policy.Format("p", []byte(got.Policy)); err != nil || string(formatted) != got.Policy {
			t.Errorf("%s: what was printed is not in canonical form", c.what)
		}
	}
}

// What is left out is in the file, where it stood.
func each(effect migrate.Effect, places ...string) string {
	return strings.Join(places, fmt.Sprintf(": %s\n", effect)) + fmt.Sprintf(": %s\n", effect)
}

func TestNothingIsLost(t *testing.T) {
	got, err := migrate.Options{}.File("p", []byte(`{"acls": [{"action": "accept", "src": ["a@b"], "dst": ["10.0.0.1:22"], "proto": "pigeon" /* or dove */}]}`))
	if err != nil || !strings.Contains(got.Policy, `"proto": "pigeon" /* or dove * /`) {
		t.Errorf("%s, %v", got.Policy, err)
	}
}

const old = `{
	"Groups": {"group:ward": ["ana", "ben@clinic.example", "eva@"]},
	"TagOwners": {"tag:ehr": ["ana", "group:ward"]},
	"Hosts": {"ana-pc": "10.0.0.1"},
	"ACLs": [{"action": "accept", "Users": ["ana", "ana-pc", "tag:ehr", "*"], "Ports": ["ben:22", "ana-pc:22", "tag:ehr:443", "10.0.0.2:80", "fd00::1:80", "*:*"]}],
	"autoApprovers": {"routes": {"10.0.0.0/8": ["ana"]}, "exitNode": ["ana"]},
	"ssh": [{"action": "accept", "src": ["ana"], "dst": ["ana"], "users": ["root"]}],
	"tests": [{"src": "ana", "accept": ["ben:22"], "deny": ["tag:ehr:22"]}, {"user": "ana", "allow": ["ben:22"]}],
}`

func TestPeopleWithoutADomain(t *testing.T) {
	got, err := migrate.Options{From: migrate.Headscale, Domain: "c.example"}.File("p", []byte(old))
	if err != nil {
		t.Fatal(err)
	}
	want := `{"groups":{"group:ward":["ana@c.example","ben@clinic.example","eva@c.example"]},
		"tagOwners":{"tag:ehr":["ana@c.example","group:ward"]},
		"hosts":{"ana-pc":"10.0.0.1"},
		"acls":[{"action":"accept","src":["ana@c.example","ana-pc","tag:ehr","*"],"dst":["ben@c.example:22","ana-pc:22","tag:ehr:443","10.0.0.2:80","fd00::1:80","*:*"]}],
		"autoApprovers":{"routes":{"10.0.0.0/8":["ana@c.example"]},"exitNode":["ana@c.example"]},
		"ssh":[{"action":"accept","src":["ana@c.example"],"dst":["ana@c.example"],"users":["root"]}],
		"tests":[{"src":"ana@c.example","accept":["ben@c.example:22"],"deny":["tag:ehr:22"]},{"src":"ana@c.example","accept":["ben@c.example:22"]}],}`
	if bare(t, got.Policy) != bare(t, want) {
		t.Errorf("it became\n%s", got.Policy)
	}
	for _, item := range got.Items { // no exit node, and no SSH server, is there yet
		if item.Effect == migrate.Less && item.Where != "autoApprovers.exitNode" && item.Where != "ssh" {
			t.Errorf("with a domain: %v", item)
		}
	}
	unknown, err := migrate.Options{From: migrate.Headscale}.File("p", []byte(old))
	if err != nil || unknown.Faithful() || !strings.Contains(unknown.Policy, `"ben@:22"`) {
		t.Errorf("without a domain: %v\n%s", err, unknown.Policy)
	}
}

// Programs with a window keep notes of their own in the acls of headscale, under keys that
// begin with #, which it reads past. They narrow nothing, so their rule comes along.
func TestNotesOfOtherPrograms(t *testing.T) {
	const text = "{\"acls\": [\n{\"#ha-meta\": {\"name\": \"a */ b\", \"open\": true}, \"action\": \"accept\", \"src\": [\"a@b\"], \"dst\": [\"10.0.0.1:22\"]},\n{\"action\": \"accept\", \"src\": [\"a@b\"], \"dst\": [\"10.0.0.1:23\"]}]}"
	got, err := migrate.Options{From: migrate.Headscale}.File("p", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	const want = "2 acls[0].#ha-meta: nothing changes\n"
	if reported(got) != want || !got.Faithful() || strings.Count(got.Policy, `"action": "accept"`) != 2 || !strings.Contains(got.Policy, `"name": "a * / b"`) {
		t.Errorf("%s\n%s", reported(got), got.Policy)
	}
	if pol, _, err := policy.Parse("p", []byte(got.Policy)); err != nil || len(pol.Rules()) != 2 {
		t.Error(pol, err)
	}
}

// TestWholeFiles: the report of a file says of each key by line and column what became
// of it, always in the same words.
func TestWholeFiles(t *testing.T) {
	for name, o := range map[string]migrate.Options{
		"tailscale": {},
		"headscale": {From: migrate.Headscale},
		"logins":    {From: migrate.Headscale, Domain: "clinic.example"},
	} {
		src, err := os.ReadFile("testdata/" + name + ".hujson")
		if err != nil {
			t.Fatal(err)
		}
		want, err := os.ReadFile("testdata/" + name + ".report")
		if err != nil {
			t.Fatal(err)
		}
		got, err := o.File(name, src)
		if err != nil {
			t.Fatal(err)
		}
		var report strings.Builder
		for _, item := range got.Items {
			fmt.Fprintln(&report, item)
		}
		if report.String() != string(want) {
			t.Errorf("%s: the report is\n%s\nwant\n%s", name, &report, want)
		}
		tellsOfEachSection(t, src, got)
	}
}

// tellsOfEachSection checks that something is said at each key of a file, where it
// stands.
func tellsOfEachSection(t *testing.T, src []byte, c migrate.Carried) {
	t.Helper()
	root, err := hujson.Parse(src)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range root.Value.(*hujson.Object).Members {
		head := string(src[:m.Name.StartOffset])
		line, column := 1+strings.Count(head, "\n"), 1+utf8.RuneCountInString(head[strings.LastIndexByte(head, '\n')+1:])
		if !slices.ContainsFunc(c.Items, func(i migrate.Item) bool { return i.Line == line && i.Column == column }) {
			t.Fatalf("nothing is said of %s in\n%s\nbut\n%v", m.Name.Value, src, c.Items)
		}
	}
}

// Warnings come by the fifty; what has no effect is told of however much there is.
func TestManyKeysWithoutEffect(t *testing.T) {
	entry := `{"target": ["*"], "attr": ["a"], "app": {"a": "b"}},`
	got, err := migrate.Options{}.File("p", []byte(`{"acls": [], "nodeAttrs": [`+strings.Repeat(entry, 120)+`]}`))
	if err != nil || strings.Count(got.Policy, "left out") != 120 || len(got.Items) != 122 {
		t.Errorf("%v: %d left out, %d items", err, strings.Count(got.Policy, "left out"), len(got.Items))
	}
}

func TestYAML(t *testing.T) {
	for _, text := range []string{"---\nacls: []", "# rules\nacls:\n  - action: accept\n", "groups:\n  group:a: [ben]", "\"acls\" : []", "hosts:"} {
		if _, err := (migrate.Options{From: migrate.Headscale}).File("p", []byte(text)); !errors.Is(err, migrate.ErrYAML) {
			t.Errorf("%q: %v", text, err)
		}
	}
	for _, text := range []string{`{acls: []}`, `{"acls": [}`, ``, `[]`} {
		if _, err := (migrate.Options{From: migrate.Headscale}).File("p", []byte(text)); err == nil || errors.Is(err, migrate.ErrYAML) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestRefused(t *testing.T) {
	for what, text := range map[string]string{
		"no HuJSON":    `acls: []`,
		"no UTF-8":     "{\"ssh\": [{\"src\": [\"\xba\"]}]}",
		"a list":       `[]`,
		"twice":        `{"acls": [], "ACLS": []}`,
		"no section":   `{"acls": 1}`,
		"all would be": `{"defaultSrcPosture": ["posture:gone"], "acls": []}`,
	} {
		if got, err := (migrate.Options{}).File("p", []byte(text)); err == nil {
			t.Errorf("%s: carried as %s", what, got.Policy)
		}
	}
}

func FuzzFile(f *testing.F) {
	f.Add([]byte(old))
	f.Add([]byte(`{"Hosts": [{}], "autoApprovers": [["a"]], "groups": [1]}`))
	f.Add([]byte(`{"acls": [{"action": "accept", "src": ["a@b"], "dst": ["svc:x:1"]}], "derpMap": {"a": 1}} // x`))
	f.Add([]byte(`{"acls": [{"#a": {"src": ["x"]} /* b */ , "users": ["a"], "ports": ["*:1,2"], "action": "accept", "#b": "*/"}], "grants": [{"src": ["a"], "dst": ["*"], "ip": ["tcp:1, 2", ",", "1,,*"]}], "tests": [{"src": "a", "deny": ["svc:x:1"]}]}`))
	f.Fuzz(func(t *testing.T, src []byte) {
		for _, from := range []migrate.Source{migrate.Tailscale, migrate.Headscale} {
			got, err := migrate.Options{From: from, Domain: "d"}.File("p", src)
			if err != nil {
				continue
			}
			if _, _, err := policy.Parse("p", []byte(got.Policy)); err != nil {
				t.Fatalf("%q is carried as what is refused: %v\n%s", src, err, got.Policy)
			}
			tellsOfEachSection(t, append(bytes.TrimPrefix(src, []byte("\ufeff")), '\n'), got) // to hujson, a comment ends with its line alone
		}
	})
}

// A file may end in a comment, without a line's end.
func TestACommentEndsTheFile(t *testing.T) {
	const src = "{\n\t\"grants\": [{\"src\": [\"*\"], \"dst\": [\"*\"], \"ip\": [\"*\"]}], \"magicDNS\": true,\n} // the end"
	got, err := migrate.Options{}.File("p", []byte(src))
	if err != nil || !strings.HasSuffix(got.Policy, "\n} // the end\n") || !got.Faithful() {
		t.Errorf("%q: %v", got.Policy, err)
	}
}

func TestFileOfMistakesIsGivenUp(t *testing.T) {
	with := func(mistakes int) error {
		rule := `{"action": "accept", "src": ["*"], "dst": ["*:ssh"]},`
		_, err := migrate.Options{From: migrate.Tailscale}.File("policy.hujson", []byte(`{"acls": [`+strings.Repeat(rule, mistakes)+`]}`))
		return err
	}
	if err := with(1500); err != nil {
		t.Errorf("1,500 mistakes: %v", err)
	}
	if err := with(2500); err == nil || !strings.Contains(err.Error(), "mend it by hand first") {
		t.Errorf("2,500 mistakes: %v", err)
	}
}
