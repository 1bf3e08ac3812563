package coordinator_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/cordonmesh/cordon/acl/policy"
	"github.com/cordonmesh/cordon/coordinator"
	"github.com/cordonmesh/cordon/coordinator/admin"
)

// clock is a wall clock that a test sets.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) forward(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func (r *running) status() *admin.StatusResponse {
	r.t.Helper()
	resp, err := r.root.Status(r.t.Context(), connect.NewRequest(&admin.StatusRequest{}))
	if err != nil {
		r.t.Fatal(err)
	}
	return resp.Msg
}

// wants checks an error for what it must say.
func wants(t *testing.T, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Errorf("no error, want one with %q", parts)
		return
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("the error %q does not say %q", err, part)
		}
	}
}

func TestWhatWasDoneIsThereAfterARestart(t *testing.T) {
	r := begin(t, nil)
	_, secret := r.token(enrolToken())
	m := r.enrol(secret)
	before := r.status()
	if err := coordinator.Run(t.Context(), r.config); err == nil {
		t.Error("two coordinators run on one state directory")
	}
	if got := r.status(); got.Revision != before.Revision {
		t.Error("the refused second start disturbed the first")
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	again := serve(t, r.config)
	again.founded = r.founded
	if got := again.status(); got.Revision != before.Revision || got.Incarnation != before.Incarnation || got.Nodes != 1 {
		t.Errorf("after a restart %v, before %v", got, before)
	}
	if resp, err := again.root.GetNode(t.Context(), connect.NewRequest(&admin.GetNodeRequest{Node: m.id})); err != nil || resp.Msg.Node.Name != "host" {
		t.Errorf("the node is %v, %v", resp, err)
	}
}

// Who asks about a ping asks about that of either family: one is forbidden, the other passes.
func TestPingOfTheFamilyIsExplained(t *testing.T) {
	r := begin(t, nil)
	_, secret := r.token(enrolToken())
	one, other := r.enrol(secret), r.enrol(secret)
	for forbidden, want := range map[string]bool{`"icmp:*"`: true, `"icmpv6:*"`: true, `"icmp:*", "icmpv6:*"`: false} {
		text := `{"tagOwners": {"tag:test": []}, "grants": [{"src": ["*"], "dst": ["*"], "ip": ["*"]}], "forbid": [{"src": ["*"], "dst": ["tag:test"], "ip": [` + forbidden + `]}]}`
		if _, err := r.root.SetPolicy(t.Context(), connect.NewRequest(&admin.SetPolicyRequest{Text: text})); err != nil {
			t.Fatal(err)
		}
		resp, err := r.root.ExplainPolicy(t.Context(), connect.NewRequest(&admin.ExplainPolicyRequest{Src: one.id, Dst: other.id, Protocol: "icmp"}))
		if err != nil || resp.Msg.Allow != want {
			t.Errorf("with %s forbidden: %v, %v, want %v", forbidden, resp, err, want)
		}
	}
}

// A mesh denies all until somebody says otherwise.
func TestStarterPolicyDeniesAll(t *testing.T) {
	r := begin(t, nil)
	_, secret := r.token(enrolToken())
	one, other := r.enrol(secret), r.enrol(secret)
	resp, err := r.root.ExplainPolicy(t.Context(), connect.NewRequest(&admin.ExplainPolicyRequest{Src: one.id, Dst: other.id, Protocol: "tcp", Port: 22}))
	if err != nil || resp.Msg.Allow {
		t.Errorf("%v, %v", resp, err)
	}
	reach, err := r.root.ReachPolicy(t.Context(), connect.NewRequest(&admin.ReachPolicyRequest{}))
	if err != nil || len(reach.Msg.Entries) != 0 || len(reach.Msg.Nodes) != 2 {
		t.Errorf("%v, %v", reach, err)
	}
	_, err = r.root.ReachPolicy(t.Context(), connect.NewRequest(&admin.ReachPolicyRequest{Segment: "seg:ehr"}))
	if err == nil || !strings.Contains(err.Error(), "the policy has the segments (none), and the classes of data (none)") {
		t.Error(err)
	}
}

// A policy with an error, or with a test of its own that fails, changes nothing,
// and says where.
func TestRefusedPolicyStaysOutOfForce_A45(t *testing.T) {
	r := begin(t, nil)
	_, secret := r.token(enrolToken())
	r.enrol(secret)
	before := r.status()
	for what, text := range map[string]string{
		"not HuJSON":      "{",
		"an unknown name": `{"acls": [{"action": "accept", "src": ["group:nobody"], "dst": ["*:22"]}]}`,
		"a failing test":  `{"tagOwners": {"tag:test": []}, "tests": [{"src": "tag:test", "accept": ["tag:test:22"]}]}`,
	} {
		_, err := r.root.SetPolicy(t.Context(), connect.NewRequest(&admin.SetPolicyRequest{Text: text}))
		problems := admin.Problems(err)
		if connect.CodeOf(err) != connect.CodeInvalidArgument || len(problems) == 0 || problems[0].Line == 0 {
			t.Errorf("%s: %v, with problems %v", what, err, problems)
		}
	}
	if after := r.status(); after.PolicyRevision != before.PolicyRevision || after.Revision != before.Revision {
		t.Errorf("refused policies led from %v to %v", before, after)
	}
	if _, err := r.root.SetPolicy(t.Context(), connect.NewRequest(&admin.SetPolicyRequest{Text: `{}`, ExpectedRevision: before.PolicyRevision + 7})); connect.CodeOf(err) != connect.CodeAborted {
		t.Errorf("an edit of a policy that is not in force: %v", err)
	}
}

// A policy whose tests nobody could afford to judge changes nothing, and says which of
// them to mend.
func TestPolicyOfTooManyTestsIsRefused(t *testing.T) {
	r := begin(t, nil)
	before := r.status()
	var text strings.Builder
	text.WriteString("{\"grants\": [")
	for i := range 3000 {
		fmt.Fprintf(&text, `{"src": ["10.%d.%d.0/24"], "dst": ["10.200.0.1"], "ip": ["tcp:%d"]},`, i/250, i%250, i+1)
	}
	text.WriteString("],\n\"tests\": [\n")
	for range 9999 {
		text.WriteString(`{"src": "10.0.0.0/8", "deny": ["10.200.0.1:5000"]},`)
	}
	text.WriteString("]}")
	_, err := r.root.SetPolicy(t.Context(), connect.NewRequest(&admin.SetPolicyRequest{Text: text.String(), DryRun: true}))
	problems := admin.Problems(err)
	if connect.CodeOf(err) != connect.CodeInvalidArgument || len(problems) != 1 || problems[0].Line != 3 || !strings.Contains(problems[0].Message, "more work to judge") {
		t.Errorf("tried: %v, with problems %v", err, problems)
	}
	if _, err := r.root.TestPolicy(t.Context(), connect.NewRequest(&admin.TestPolicyRequest{Text: text.String()})); connect.CodeOf(err) != connect.CodeInvalidArgument {
		t.Errorf("tested: %v", err)
	}
	if _, err := r.root.SetPolicy(t.Context(), connect.NewRequest(&admin.SetPolicyRequest{Text: text.String()})); connect.CodeOf(err) != connect.CodeInvalidArgument {
		t.Errorf("set: %v", err)
	}
	if after := r.status(); after.Revision != before.Revision {
		t.Errorf("it led from %v to %v", before, after)
	}
}

// A48: what can be read in two ways is read in one by everybody, or by nobody: the
// coordinator says of each what the command line says without it.
func TestOneStrictReading_A48(t *testing.T) {
	r := begin(t, nil)
	for what, text := range map[string]string{
		"a key twice":             `{"grants": [], "grants": [{"src": ["*"], "dst": ["*"], "ip": ["*"]}]}`,
		"a key in two cases":      `{"grants": [], "Grants": [{"src": ["*"], "dst": ["*"], "ip": ["*"]}]}`,
		"a key within twice":      `{"grants": [{"src": ["a@b"], "dst": ["*"], "src": ["*"], "ip": ["*"]}]}`,
		"an unknown key":          `{"grants": [{"src": ["*"], "dst": ["*"], "ip": ["*"], "unless": ["x"]}]}`,
		"an unknown section":      `{"denies": [{"src": ["*"], "dst": ["*"]}]}`,
		"a byte order mark":       "\ufeff{}",
		"a CIDR with host bits":   `{"grants": [{"src": ["10.0.0.1/8"], "dst": ["*"], "ip": ["*"]}]}`,
		"all of IPv4":             `{"grants": [{"src": ["*"], "dst": ["0.0.0.0/0"], "ip": ["*"]}]}`,
		"all of IPv6":             `{"grants": [{"src": ["*"], "dst": ["::/0"], "ip": ["*"]}]}`,
		"IPv4 in IPv6":            `{"grants": [{"src": ["::ffff:10.0.0.1"], "dst": ["*"], "ip": ["*"]}]}`,
		"a reversed range":        `{"grants": [{"src": ["*"], "dst": ["*"], "ip": ["tcp:90-80"]}]}`,
		"a port beyond all":       `{"grants": [{"src": ["*"], "dst": ["*"], "ip": ["tcp:65536"]}]}`,
		"port 0":                  `{"grants": [{"src": ["*"], "dst": ["*"], "ip": ["tcp:0"]}]}`,
		"a letter that looks odd": `{"groups": {"group:nurſes": []}, "grants": [{"src": ["group:nurses"], "dst": ["*"], "ip": ["*"]}]}`,
		"something behind it":     `{} {"grants": [{"src": ["*"], "dst": ["*"], "ip": ["*"]}]}`,
	} {
		_, _, local := policy.Parse("policy.hujson", []byte(text))
		_, err := r.root.SetPolicy(t.Context(), connect.NewRequest(&admin.SetPolicyRequest{Text: text, File: "policy.hujson"}))
		var all policy.Errors
		problems := slices.DeleteFunc(admin.Problems(err), func(p *admin.Problem) bool { return p.Warning })
		if !errors.As(local, &all) || connect.CodeOf(err) != connect.CodeInvalidArgument || len(problems) != len(all) {
			t.Errorf("%s: the command line says %v, the coordinator %v: %v", what, local, err, problems)
			continue
		}
		for i, e := range all {
			if p := problems[i]; int(p.Line) != e.Pos.Line || int(p.Column) != e.Pos.Column {
				t.Errorf("%s: the command line complains at %s, the coordinator at %d:%d", what, e.Pos, p.Line, p.Column)
			}
		}
	}
}

func TestInitRefusesWhatIsThere(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "mine"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := coordinator.Init(t.Context(), coordinator.Setup{StateDir: dir, URL: "https://c.example:8443"})
	wants(t, err, dir, "not empty")
}

func TestStateThatIsMissingOrDamagedIsNotServed(t *testing.T) {
	r := begin(t, nil)
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	empty := r.config
	empty.StateDir = t.TempDir()
	wants(t, coordinator.Run(t.Context(), empty), empty.StateDir, "cordon-coordinator init")
	for _, damaged := range []string{"coordinator.json", "cordon.db", "keys/map.key", "keys/ca.pem", "keys/root.crt"} {
		path := filepath.Join(r.config.StateDir, damaged)
		whole, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for what, content := range map[string][]byte{"empty": {}, "garbage": []byte("garbage")} {
			if err := os.WriteFile(path, content, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := coordinator.Run(t.Context(), r.config); err == nil {
				t.Errorf("served with %s %s", damaged, what)
			}
		}
		if err := os.WriteFile(path, whole, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	serve(t, r.config) // all is whole again
}

func TestBadSettingsAreNamed(t *testing.T) {
	for _, c := range []struct {
		config coordinator.Config
		parts  []string
	}{
		{coordinator.Config{}, []string{"state", "init"}},
		{coordinator.Config{StateDir: "x", Listen: "8443", Metrics: "also bad"}, []string{"listen", `"8443"`, ":8443"}},
		{coordinator.Config{StateDir: "x", Listen: ":66000"}, []string{"listen", `":66000"`, ":8443"}},
		{coordinator.Config{StateDir: "x", Metrics: "localhost"}, []string{"metrics", `"localhost"`, "10.0.0.5:8443"}},
		{coordinator.Config{StateDir: "x", WebCert: "cert.pem"}, []string{"web-cert", "web-key", "cert.pem", "both or neither"}},
	} {
		wants(t, coordinator.Run(t.Context(), c.config), c.parts...)
	}
	r := begin(t, nil)
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	long := r.config
	long.Socket = filepath.Join(t.TempDir(), strings.Repeat("long", 30))
	wants(t, coordinator.Run(t.Context(), long), "--socket", "shorter")
	file := r.config
	file.Socket = filepath.Join(r.config.StateDir, "coordinator.json")
	wants(t, coordinator.Run(t.Context(), file), "no socket")
	web := r.config
	web.WebCert, web.WebKey = "/nowhere/cert.pem", "/nowhere/key.pem"
	wants(t, coordinator.Run(t.Context(), web), "web-cert", "/nowhere/cert.pem")
}

func TestMetricsSayHowTheMeshStands(t *testing.T) {
	r := begin(t, func(c *coordinator.Config) { c.Metrics = "127.0.0.1:0" })
	_, secret := r.token(enrolToken())
	r.enrol(secret)
	said := r.log.with("serving metrics")
	if len(said) != 1 {
		t.Fatal("the log does not say where metrics are")
	}
	at := "http://" + said[0]["listen"].(string)
	resp, err := http.Get(at + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	for _, want := range []string{"cordon_nodes 1", "cordon_nodes_connected 0", "cordon_tokens_live 1", "cordon_revision ", "process_resident_memory_bytes"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("metrics lack %q", want)
		}
	}
	for _, route := range append(admin.Procedures(), "/debug/pprof/", "/") {
		if got := post(t, http.DefaultClient, at+route, nil); got != absent {
			t.Errorf("the metrics listener has %s: %s", route, got)
		}
	}
	http.DefaultClient.CloseIdleConnections()
}

// A backup, on another machine, is the same mesh in a new incarnation.
func TestRestoreBeginsANewIncarnation(t *testing.T) {
	r := begin(t, nil)
	_, secret := r.token(enrolToken())
	m := r.enrol(secret)
	var sealed bytes.Buffer
	if _, err := r.root.CopyBackup(t.Context(), &sealed); err != nil {
		t.Fatal(err)
	}
	before := r.status()
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(sealed.Bytes(), []byte("private-")) {
		t.Error("a key stands open in the backup")
	}
	to := filepath.Join(t.TempDir(), "restored")
	cut := sealed.Bytes()[:sealed.Len()/2]
	if err := coordinator.Restore(t.Context(), to, r.founded.Recovery, bytes.NewReader(cut), "test"); err == nil {
		t.Error("half a backup was restored")
	}
	other, err := coordinator.Init(t.Context(), coordinator.Setup{StateDir: filepath.Join(t.TempDir(), "other"), URL: "https://c.example:8443"})
	if err != nil {
		t.Fatal(err)
	}
	if err := coordinator.Restore(t.Context(), to, other.Recovery, bytes.NewReader(sealed.Bytes()), "test"); err == nil {
		t.Error("another mesh's recovery key opens the backup")
	}
	if err := coordinator.Restore(t.Context(), to, r.founded.Recovery, bytes.NewReader(sealed.Bytes()), "a reason\nof two lines"); err == nil {
		t.Error("a reason that the audit does not take begins an incarnation")
	}
	if left, err := filepath.Glob(to + "*"); err != nil || len(left) > 0 {
		t.Errorf("failed restores left %v, %v", left, err)
	}
	if err := coordinator.Restore(t.Context(), to, r.founded.Recovery, bytes.NewReader(sealed.Bytes()), "test"); err != nil {
		t.Fatal(err)
	}
	wants(t, coordinator.Restore(t.Context(), to, r.founded.Recovery, bytes.NewReader(sealed.Bytes()), "test"), to, "move it away")
	c := r.config
	c.StateDir = to
	again := serve(t, c)
	again.founded = r.founded
	if got := again.status(); got.Incarnation <= before.Incarnation || got.Mesh != before.Mesh || got.Nodes != 1 {
		t.Errorf("restored: %v, before: %v", got, before)
	}
	if _, err := again.root.GetNode(t.Context(), connect.NewRequest(&admin.GetNodeRequest{Node: m.id})); err != nil {
		t.Error(err)
	}
}
