package query_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestRandom: any question is answered as the oracle answers it.
func TestRandom(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		q := drawQuestion(t)
		slow := oracle(q)
		slow.Message = "" // the words are acl/policy's to test
		line, want := render(q), mustJSON(slow)
		have := answer(line)
		for _, diff := range differences(have, want) {
			t.Errorf("%s", diff)
		}
		if t.Failed() {
			t.Fatalf("%spolicy   %s\nquestion %s\nanswer   %s\noracle   %s", reachDifferences(q, have, want), q.Policy, line, have, want)
		}
	})
}

// reachDifferences lists the packets that two answers judge differently.
func reachDifferences(q question, have, want []byte) string {
	var h, w reply
	if json.Unmarshal(have, &h) != nil || json.Unmarshal(want, &w) != nil || h.Reach == nil || w.Reach == nil || len(*h.Reach) != len(*w.Reach) {
		return ""
	}
	var out strings.Builder
	i := 0
	for _, dst := range q.Ask.Reach.Dst {
		for _, src := range q.Ask.Reach.Src {
			for _, probe := range q.Ask.Reach.Probes {
				if src.IP.Is4() != dst.IP.Is4() {
					continue
				}
				if (*h.Reach)[i] != (*w.Reach)[i] {
					fmt.Fprintf(&out, "%s -> %s at %s, protocol %d port %d: answer %c, oracle %c\n", src.IP, dst.IP, dst.Node, probe[0], probe[1], (*h.Reach)[i], (*w.Reach)[i])
				}
				i++
			}
		}
	}
	return out.String()
}

// TestRandomMeets: what is drawn is worth asking. Most policies stand, and
// every section has answers of each kind, often.
func TestRandomMeets(t *testing.T) {
	const draws = 400
	counts := map[string]int{}
	for seed := range draws {
		q := rapid.Custom(drawQuestion).Example(seed)
		r := oracle(q)
		counts["compile "+r.Compile]++
		if r.Compile != "ok" {
			continue
		}
		for letter := range strings.SplitSeq(*r.Reach+*r.SSH, "") {
			counts["letter "+letter]++
		}
		for _, list := range r.Peers {
			counts["peers"] += len(list)
		}
		for viewer, hops := range r.Routes {
			for hop, list := range hops {
				counts["routes"] += len(list)
				for _, p := range list {
					if p.Bits() > 0 && newWorld(q, policyFile{}).elected(p).Name != hop {
						counts["steered"]++
					}
				}
				if viewer == hop {
					t.Errorf("%s is its own next hop", viewer)
				}
			}
		}
		counts["refused by another address"] += refusedByAnother(t, q)
		counts["caps"] += len(*r.Caps)
		for _, list := range r.Attrs {
			counts["attrs"] += len(list)
		}
		for _, list := range r.Approve {
			counts["approve"] += len(list)
		}
	}
	t.Log(counts)
	for what, least := range map[string]int{"compile ok": draws / 2, "compile error": 5, "letter 0": 3000, "letter 1": 3000, "letter a": 500, "letter c": 500,
		"letter -": 500, "peers": 500, "routes": 200, "steered": 10, "caps": 100, "attrs": 100, "approve": 20,
		"refused by another address": 80} {
		if counts[what] < least {
			t.Errorf("%s: %d, want at least %d", what, counts[what], least)
		}
	}
}

// refusedByAnother counts the flows that are refused since a policy names another
// address of one of the machines at their ends.
func refusedByAnother(t *testing.T, q question) (count int) {
	var p policyFile
	if err := json.Unmarshal([]byte(q.Policy), &p); err != nil {
		t.Fatal(err)
	}
	whole, apart := newWorld(q, p), newWorld(q, p)
	apart.Nodes = nil
	for _, n := range q.Nodes {
		four, six := n, n
		four.IPv6, six.IPv4 = "", ""
		apart.Nodes = append(apart.Nodes, four, six)
	}
	for _, dst := range q.Ask.Reach.Dst {
		for _, src := range q.Ask.Reach.Src {
			if src.IP.Is4() == dst.IP.Is4() && whole.refuses(src.IP, dst.IP, protoTCP, 443) && !apart.refuses(src.IP, dst.IP, protoTCP, 443) {
				count++
			}
		}
	}
	return count
}
