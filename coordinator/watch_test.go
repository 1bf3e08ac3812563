package coordinator_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/cordonmesh/cordon/coordinator/admin"
)

// A roster that lies beside the state opens what the policy opens to those on
// duty, as soon as the policy is in force.
func TestRosterOpensWhatThePolicySays(t *testing.T) {
	r := begin(t, nil)
	_, servers := r.token(enrolToken())
	_, people := r.token(&admin.CreateTokenRequest{Kind: admin.TokenKind_TOKEN_KIND_ENROL, User: "ada@h.example", Uses: 1})
	central, ada := r.enrol(servers), r.enrol(people)
	dir := filepath.Join(r.config.StateDir, "rosters", "oncall")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	from := time.Now().UTC().Add(-time.Hour)
	roster := fmt.Sprintf("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//h//EN\r\nBEGIN:VEVENT\r\nUID:1\r\nDTSTAMP:20261101T000000Z\r\n"+
		"DTSTART:%s\r\nDURATION:PT8H\r\nATTENDEE:mailto:ada@h.example\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n", from.Format("20060102T150405Z"))
	if err := os.WriteFile(filepath.Join(dir, "icu.ics"), []byte(roster), 0o600); err != nil {
		t.Fatal(err)
	}
	text := `{"tagOwners": {"tag:test": []}, "oncall": {"icu": {"ics": "oncall/icu.ics"}},
 "grants": [{"id": "tele", "src": ["ada@h.example"], "dst": ["tag:test"], "ip": ["443"], "when": {"oncall": "icu"}}]}`
	if _, err := r.root.SetPolicy(t.Context(), connect.NewRequest(&admin.SetPolicyRequest{Text: text})); err != nil {
		t.Fatal(err)
	}
	question := &admin.ExplainPolicyRequest{Src: ada.id, Dst: central.id, Protocol: "tcp", Port: 443}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		resp, err := r.root.ExplainPolicy(t.Context(), connect.NewRequest(question))
		if err != nil {
			t.Fatal(err)
		}
		if resp.Msg.Allow {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("she is on duty: %v", resp.Msg)
		}
	}
}
