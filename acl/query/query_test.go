package query_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/cordonmesh/cordon/acl/query"
)

// TestServeGoesOnAfterABadLine: every line has its answer, whatever the one
// before was.
func TestServeGoesOnAfterABadLine(t *testing.T) {
	good := `{"v":1,"id":7,"policy":"{\"acls\":[]}","ask":{"peers":[]}}`
	in := strings.Join([]string{good, `{"v":1,"id":"x","policy":"{"}`, "", "no JSON", strings.Repeat("x", 65<<20), `{"v":2}`, good}, "\n")
	var out strings.Builder
	if err := query.Serve(strings.NewReader(in), &out); err != nil {
		t.Fatal(err)
	}
	var got []string
	for line := range strings.Lines(out.String()) {
		var a struct {
			ID      any
			Compile string
		}
		if err := json.Unmarshal([]byte(line), &a); err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprint(a.ID, " ", a.Compile))
	}
	want := []string{"7 ok", "x error", "<nil> error", "<nil> error", "<nil> error", "7 ok"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("answers %q, want %q", got, want)
	}
}

// A batch answers each line as if it stood alone, though what it read last it need
// not read again.
func TestServeAnswersEachLineByItself(t *testing.T) {
	line := func(policy, domains string) string {
		return fmt.Sprintf(`{"v":1,"tailnet":{"domains":%s},"policy":%q,"nodes":[{"name":"a","user":"ada@h.example","ipv4":"100.64.0.1"},{"name":"b","user":"bob@h.example","ipv4":"100.64.0.2"}],"ask":{"peers":["a"]}}`, domains, policy)
	}
	everyone, nobody := `{"grants":[{"src":["user:*@h.example"],"dst":["*"],"ip":["*"]}]}`, `{"grants":[]}`
	lines := []string{line(everyone, "null"), line(everyone, "null"), line(everyone, `["other.example"]`), line(everyone, `["h.example"]`),
		line(nobody, `["h.example"]`), line(everyone, `["h.example"]`), line("{", "null"), line(everyone, "[]"), line(everyone, "null")}
	var want, got strings.Builder
	for _, one := range lines {
		want.Write(append(query.Answer([]byte(one)), '\n'))
	}
	if err := query.Serve(strings.NewReader(strings.Join(lines, "\n")), &got); err != nil {
		t.Fatal(err)
	}
	if got.String() != want.String() || !strings.Contains(got.String(), `"peers":{"a":["b"]}`) || !strings.Contains(got.String(), "does not own") {
		t.Errorf("\n%s, each by itself\n%s", got.String(), want.String())
	}
}

// So it does for many policies and meshes in a row, of which nothing stays behind: nor
// where the next policy differs by a digit.
func TestServeKeepsNothingOfOtherLines(t *testing.T) {
	var batch, want, got bytes.Buffer
	for seed := range uint64(20) {
		q := newSuite(seed).question()
		for _, port := range []string{":443", ":444", ":443"} {
			q.Policy = strings.ReplaceAll(q.Policy, ":443", port)
			line := mustJSON(q)
			batch.Write(append(line, '\n'))
			want.Write(append(query.Answer(line), '\n'))
			q.Policy = strings.ReplaceAll(q.Policy, port, ":443")
		}
	}
	if err := query.Serve(&batch, &got); err != nil {
		t.Fatal(err)
	}
	if got.String() != want.String() || strings.Count(got.String(), `"compile":"ok"`) != 60 {
		t.Error("a batch is not answered as its lines are, each by itself")
	}
}

// TestUnsupported: what the language has and nothing obeys is not called wrong, unless
// something else is. Of that is told first, wherever it stands.
func TestUnsupported(t *testing.T) {
	for _, tt := range []struct{ src, want, message string }{
		{`\"svc:web\"`, "unsupported", "policy:1:20: src=\"svc:web\": svc: names are not supported yet"},
		{`\"svc:web\", \"tag:x\"`, "error", "policy:1:31: src=tag not found: \"tag:x\""},
	} {
		var a struct{ Compile, Message string }
		line := query.Answer([]byte(`{"v":1,"policy":"{\"grants\":[{\"src\":[` + tt.src + `],\"dst\":[\"*\"],\"ip\":[\"*\"]}]}","ask":{"peers":["a"]}}`))
		if err := json.Unmarshal(line, &a); err != nil || a.Compile != tt.want || !strings.HasPrefix(a.Message, tt.message) || bytes.Contains(line, []byte("peers")) {
			t.Errorf("%s: answered %s, want %s with %q", tt.src, line, tt.want, tt.message)
		}
	}
}

// A test of a virtual service fails no policy, and nothing else about the test is spared.
func TestVirtualServicesFailNoPolicy(t *testing.T) {
	for targets, want := range map[string]string{`\"svc:web:443\"`: `"compile":"ok"`, `\"svc:web:443\", \"100.64.0.2:22\"`: "must reach 100.64.0.2:22"} {
		got := query.Answer([]byte(`{"v":1,"policy":"{\"grants\": [], \"tests\": [{\"src\": \"a@h\", \"accept\": [` + targets + `]}]}","nodes":[{"name":"b","user":"b@h","ipv4":"100.64.0.2"}],"ask":{"peers":["b"]}}`))
		if !strings.Contains(string(got), want) {
			t.Errorf("%s: %s, want %s", targets, got, want)
		}
	}
}

// FuzzAnswer: whatever is asked, there is one JSON object in one line.
func FuzzAnswer(f *testing.F) {
	f.Add([]byte(`{"v":1,"id":"one","policy":"{\"grants\":[{\"src\":[\"*\"],\"dst\":[\"*\"],\"ip\":[\"*\"],\"app\":{\"a.b/c\":[{}]}}]}","nodes":[{"name":"a","user":"a@b","ipv4":"100.64.0.1","approved":["10.0.0.0/8","0.0.0.0/0"]}],"ask":{"reach":{"src":[{"ip":"10.0.0.1"}],"dst":[{"ip":"8.8.8.8","node":"a"}],"probes":[[6,1],[1,0],[47,0]]},"peers":["a"],"routes":["a"],"caps":["a"],"approve":["a"],"attrs":["x"],"ssh":{"nodes":["a"],"logins":["root"]}}}`))
	f.Add([]byte(`{"v":1,"policy":"{\"ssh\":[{\"action\":\"check\",\"src\":[\"autogroup:member\"],\"dst\":[\"autogroup:self\"],\"users\":[\"localpart:*@b\"]}]}","mesh":{"ipv4":"10.0.0.0/8","ipv6":["fd00::/8"]},"nodes":[{"name":"a"},{"name":"a"}]}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		answer := query.Answer(line)
		var object map[string]any
		if err := json.Unmarshal(answer, &object); err != nil || object["compile"] == nil || bytes.ContainsRune(answer, '\n') {
			t.Fatalf("%s: %v", answer, err)
		}
	})
}

// What a test supposes of a device and a person is so now, unless it says when.
func TestQuerySupposesNow(t *testing.T) {
	const policy = `{"groups": {"group:a": ["ada@h.example"]}, "tagOwners": {"tag:b": []}, "postures": {"posture:managed": ["custom:mdm == true"]},
		"grants": [{"src": ["group:a"], "dst": ["tag:b"], "ip": ["tcp:443"], "when": {"mfa": {"within": "8h"}, "posture": "posture:managed"}}],
		"tests": [{"name": "t", "src": "group:a", "given": {%s}, "accept": ["tag:b:443"]}]}`
	for given, want := range map[string]string{`"managed": true, "mfaAge": "1h"`: `"compile":"ok"`, `"managed": true, "mfaAge": "9h"`: "test(s) failed", `"mfaAge": "1h"`: "test(s) failed"} {
		line := fmt.Sprintf(`{"v":1,"policy":%q,"nodes":[{"name":"b","tags":["tag:b"],"ipv4":"100.64.0.2"}],"ask":{"peers":["b"]}}`, fmt.Sprintf(policy, given))
		if got := string(query.Answer([]byte(line))); !strings.Contains(got, want) {
			t.Errorf("given %s: %s, want %s", given, got, want)
		}
	}
}
