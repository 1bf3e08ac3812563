package query_test

import (
	"encoding/json"
	"net/netip"

	"github.com/tailscale/hujson"
)

// reply is an answer of POLICY-QUERIES. A section that was not asked is nil.
type reply struct {
	ID      string                               `json:"id"`
	Compile string                               `json:"compile"`
	Message string                               `json:"message,omitempty"`
	Reach   *string                              `json:"reach,omitempty"`
	Peers   map[string][]string                  `json:"peers,omitempty"`
	Routes  map[string]map[string][]netip.Prefix `json:"routes,omitempty"`
	Caps    *[]capGroup                          `json:"caps,omitempty"`
	SSH     *string                              `json:"ssh,omitempty"`
	Attrs   map[string][]string                  `json:"attrs,omitempty"`
	Approve map[string][]netip.Prefix            `json:"approve,omitempty"`
}

// oracleAnswer is the slow and obvious reading of the policy dialect. It looks
// at nodes, prefixes and rules in nested loops, and keeps nothing.
func oracleAnswer(line []byte) []byte {
	var q question
	if err := json.Unmarshal(line, &q); err != nil {
		return mustJSON(reply{ID: q.ID, Compile: "error", Message: "question: " + err.Error()})
	}
	return mustJSON(oracle(q))
}

func oracle(q question) reply {
	var p policyFile
	text, err := hujson.Standardize([]byte(q.Policy))
	if err == nil {
		p, err = decodePolicy(text)
	}
	if err != nil {
		return reply{ID: q.ID, Compile: "error", Message: "policy: " + err.Error()}
	}
	w := newWorld(q, p)
	if err := w.check(); err != nil {
		return reply{ID: q.ID, Compile: "error", Message: err.Error()}
	}
	r := reply{ID: q.ID, Compile: "ok"}
	if q.Ask.Reach != nil {
		out := w.reach(q.Ask.Reach)
		r.Reach = &out
	}
	if q.Ask.SSH != nil {
		out := w.ssh(q.Ask.SSH)
		r.SSH = &out
	}
	if q.Ask.Caps != nil {
		out := w.caps(q.Ask.Caps)
		r.Caps = &out
	}
	r.Peers, r.Routes = w.peers(q.Ask.Peers), w.routes(q.Ask.Routes)
	r.Attrs, r.Approve = w.attrs(q.Ask.Attrs), w.approve(q.Ask.Approve)
	return r
}
