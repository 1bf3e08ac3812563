package query_test

import (
	"encoding/json"
	"testing"

	"github.com/cordonmesh/cordon/acl/query"
)

// An ipset that is built on autogroup:internet leads to what is public of it through
// exit nodes: not to what it leaves out, and to no private address beyond them.
func TestIPSetOnTheInternet(t *testing.T) {
	const sets = `"ipsets": {"ipset:web": ["autogroup:internet", "remove 8.8.8.0/24", "10.9.0.0/16"], "ipset:all": ["ipset:web"], "ipset:less": ["1.0.0.0/8", "remove autogroup:internet"]},
		"tagOwners": {"tag:exit": []},`
	for _, tt := range []struct{ rules, reach, peers string }{
		{`"grants": [{"src": ["ada@h.example"], "dst": ["ipset:web"], "ip": ["tcp:443"]}]`, "10010", "exit"},
		{`"grants": [{"src": ["ada@h.example"], "dst": ["ipset:all"], "ip": ["tcp:443"]}]`, "10010", "exit"},
		{`"acls": [{"action": "accept", "src": ["ada@h.example"], "dst": ["ipset:web:443"]}]`, "10010", "exit"},
		{`"grants": [{"src": ["ada@h.example"], "dst": ["ipset:less"], "ip": ["tcp:443"]}]`, "00000", ""},
		{`"grants": [{"src": ["ada@h.example"], "dst": ["1.0.0.0/8"], "ip": ["tcp:443"]}]`, "00000", ""},
		{`"grants": [{"src": ["ada@h.example"], "dst": ["ipset:web"], "app": {"h.example/cap/x": [{}]}}]`, "00000", ""},
		{`"grants": [{"src": ["ada@h.example"], "dst": ["*"], "ip": ["tcp:443"]}], "forbid": [{"src": ["*"], "dst": ["ipset:web"]}]`, "01001", "exit"},
		// Nobody has these addresses, and * opens them at the exit node: forbidden all the same.
		{`"grants": [{"src": ["ada@h.example"], "dst": ["*"], "ip": ["tcp:443"]}], "forbid": [{"src": ["*"], "dst": ["10.9.0.0/16"]}]`, "11011", "exit"},
		{`"grants": [{"src": ["ada@h.example"], "dst": ["*"], "ip": ["tcp:443"]}], "forbid": [{"src": ["*"], "dst": ["1.1.1.1", "2600::/32"]}]`, "01101", "exit"},
		{`"grants": [{"src": ["ada@h.example"], "dst": ["ipset:web"], "ip": ["tcp:443"]}], "forbid": [{"src": ["ada@h.example"], "dst": ["1.0.0.0/8"]}]`, "00010", "exit"},
		{`"grants": [{"src": ["ada@h.example"], "dst": ["*"], "ip": ["tcp:443"]}], "forbid": [{"src": ["tag:exit"], "dst": ["10.9.0.0/16"]}]`, "11111", "exit"},
	} {
		reach, peers := throughExit(t, "{"+sets+tt.rules+"}", "1.1.1.1", "8.8.8.8", "10.9.1.1", "2600::1", "100.64.0.2")
		if reach != tt.reach || len(peers) != min(1, len(tt.peers)) {
			t.Errorf("%s: reach %s, peers %v; want %s, %q", tt.rules, reach, peers, tt.reach, tt.peers)
		}
	}
}

// Private addresses beyond an exit node are no part of the internet; * is all that the
// node leads to, save the addresses of the mesh; 0.0.0.0/0 is all of IPv4 there.
func TestPrivateAddressesBeyondAnExit(t *testing.T) {
	private := []string{"10.9.1.1", "172.16.0.1", "192.168.1.1", "169.254.1.1", "100.64.9.9", "fd00::1", "fe80::1", "8.8.8.8", "2600::1"}
	for dst, want := range map[string]string{"autogroup:internet": "000000011", "*": "111101111", "0.0.0.0/0": "111100010", "10.0.0.0/8": "000000000", "tag:exit": "000000000"} {
		rule := `"grants": [{"src": ["ada@h.example"], "dst": ["` + dst + `"], "ip": ["tcp:443"]}]`
		if dst == "0.0.0.0/0" {
			rule = `"acls": [{"action": "accept", "src": ["ada@h.example"], "dst": ["0.0.0.0/0:443"]}]`
		}
		if reach, _ := throughExit(t, `{"tagOwners": {"tag:exit": []}, `+rule+`}`, private...); reach != want {
			t.Errorf("%s: reach %s, want %s", dst, reach, want)
		}
	}
}

// throughExit asks what a laptop may reach at an exit node, with TCP at port 443.
func throughExit(t *testing.T, policy string, dst ...string) (reach string, peers []string) {
	t.Helper()
	point := func(ip, node string) map[string]string { return map[string]string{"ip": ip, "node": node} }
	var points []any
	for _, ip := range dst {
		points = append(points, point(ip, "exit"))
	}
	line, err := json.Marshal(map[string]any{"v": 1, "policy": policy, "users": []any{map[string]string{"login": "ada@h.example"}},
		"nodes": []any{
			map[string]any{"name": "laptop", "user": "ada@h.example", "ipv4": "100.64.0.1", "ipv6": "fd7a:115c:a1e0::1"},
			map[string]any{"name": "exit", "tags": []string{"tag:exit"}, "ipv4": "100.64.0.2", "approved": []string{"0.0.0.0/0", "::/0"}},
		},
		"ask": map[string]any{"peers": []string{"laptop"}, "reach": map[string]any{
			"src": []any{point("100.64.0.1", "laptop"), point("fd7a:115c:a1e0::1", "laptop")}, "probes": [][2]int{{6, 443}}, "dst": points}}})
	if err != nil {
		t.Fatal(err)
	}
	var a struct {
		Compile, Message, Reach string
		Peers                   map[string][]string
	}
	if err := json.Unmarshal(query.Answer(line), &a); err != nil || a.Compile != "ok" {
		t.Errorf("%s: %v %s", policy, err, a.Message)
	}
	return a.Reach, a.Peers["laptop"]
}

// What is forbidden leads nowhere: a rule that forbids gives nobody a route.
func TestForbidsGiveNoRoute(t *testing.T) {
	for _, forbid := range []string{
		`{"src": ["ada@h.example"], "dst": ["10.0.0.0/24"]}`,
		`{"src": ["ada@h.example"], "dst": ["*"]}`,
		`{"src": ["10.0.0.0/24"], "dst": ["ada@h.example"]}`,
	} {
		line, err := json.Marshal(map[string]any{"v": 1, "policy": `{"tagOwners": {"tag:gw": []}, "forbid": [` + forbid + `]}`,
			"users": []any{map[string]string{"login": "ada@h.example"}},
			"nodes": []any{
				map[string]any{"name": "laptop", "user": "ada@h.example", "ipv4": "100.64.0.1"},
				map[string]any{"name": "gw", "tags": []string{"tag:gw"}, "ipv4": "100.64.0.2", "approved": []string{"10.0.0.0/24", "0.0.0.0/0"}},
			},
			"ask": map[string]any{"routes": []string{"laptop"}}})
		if err != nil {
			t.Fatal(err)
		}
		if got, want := string(query.Answer(line)), `{"compile":"ok","routes":{"laptop":{}}}`; got != want {
			t.Errorf("%s: %s, want %s", forbid, got, want)
		}
	}
}
