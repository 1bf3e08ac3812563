package query_test

import (
	"encoding/json"
	"fmt"
	"testing"
)

// A question says neither what time it is nor what anybody has proved. What a schedule
// opens is closed then, what it forbids is forbidden, and nobody may in an application what
// takes a proof: the answer is the same by day and by night.
func TestNothingIsTakenForGranted(t *testing.T) {
	const policy = `{"groups": {"group:it": ["ada@h"]}, "tagOwners": {"tag:ehr": [], "tag:am": [], "tag:pm": [], "tag:mfa": [], "tag:box": []},
"schedules": {"am": {"tz": "UTC", "weekly": ["daily 00:00-12:00"]}, "pm": {"tz": "UTC", "weekly": ["daily 12:00-24:00"]}},
"segments": {"seg:am": {"members": ["tag:am"], "owner": "group:it", "requires": {"schedule": "am"}}, "seg:pm": {"members": ["tag:pm"], "owner": "group:it", "requires": {"schedule": "pm"}},
	"seg:mfa": {"members": ["tag:mfa"], "owner": "group:it", "requires": {"mfa": {"within": "8h"}}}},
"grants": [{"src": ["ada@h", "tag:box"], "dst": ["tag:ehr", "tag:am", "tag:pm", "tag:mfa"], "ip": ["tcp:1-3"], "app": {"h.example/a": [{"b": 1}]}}],
"forbid": [{"src": ["ada@h"], "dst": ["tag:ehr"], "ip": ["tcp:1"], "when": {"schedule": "am"}}, {"src": ["ada@h"], "dst": ["tag:ehr"], "ip": ["tcp:2"], "when": {"schedule": "pm"}}]}`
	quoted, err := json.Marshal(policy)
	if err != nil {
		t.Fatal(err)
	}
	line := fmt.Sprintf(`{"v": 1, "policy": %s, "users": [{"name": "ada", "login": "ada@h", "role": "member"}], "nodes": [
	{"name": "laptop", "user": "ada@h", "ipv4": "100.64.0.1"}, {"name": "ehr", "tags": ["tag:ehr"], "ipv4": "100.64.0.2"}, {"name": "am", "tags": ["tag:am"], "ipv4": "100.64.0.3"},
	{"name": "pm", "tags": ["tag:pm"], "ipv4": "100.64.0.4"}, {"name": "mfa", "tags": ["tag:mfa"], "ipv4": "100.64.0.5"}, {"name": "box", "tags": ["tag:box"], "ipv4": "100.64.0.6"}],
"ask": {"reach": {"src": [{"ip": "100.64.0.1", "node": "laptop"}, {"ip": "100.64.0.6", "node": "box"}],
	"dst": [{"ip": "100.64.0.2", "node": "ehr"}, {"ip": "100.64.0.3", "node": "am"}, {"ip": "100.64.0.4", "node": "pm"}, {"ip": "100.64.0.5", "node": "mfa"}],
	"probes": [[6, 1], [6, 2], [6, 3]]}, "caps": ["ehr", "am", "mfa"]}}`, quoted)
	var got struct {
		Compile, Message, Reach string
		Caps                    json.RawMessage
	}
	if err := json.Unmarshal(answer([]byte(line)), &got); err != nil {
		t.Fatal(err)
	}
	if want := "001111" + "000" + "111" + "000" + "111" + "000" + "111"; got.Compile != "ok" || got.Reach != want {
		t.Errorf("%s %s: reach %s, want %s", got.Compile, got.Message, got.Reach, want)
	}
	const each = `"caps":{"h.example/a":[{"b":1}]}}`
	if want := `[{"from":["box","laptop"],"to":["ehr"],` + each + `,{"from":["box"],"to":["am"],` + each + `,{"from":["box"],"to":["mfa"],` + each + `]`; string(got.Caps) != want {
		t.Errorf("capabilities %s, want %s", got.Caps, want)
	}
}
