package query

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/cordonmesh/cordon/acl/compile"
)

// What became of the policy.
const (
	compileOK          = "ok"
	compileError       = "error"
	compileUnsupported = "unsupported"
)

// answer is one line of output. A section that was not asked for is nil.
type answer struct {
	ID      json.RawMessage                      `json:"id,omitempty"`
	Compile string                               `json:"compile"`
	Message string                               `json:"message,omitempty"`
	Reach   *string                              `json:"reach,omitempty"`
	Peers   map[string][]string                  `json:"peers,omitzero"`
	Routes  map[string]map[string][]netip.Prefix `json:"routes,omitzero"`
	Caps    []grant                              `json:"caps,omitzero"`
	SSH     *string                              `json:"ssh,omitempty"`
	Attrs   map[string][]string                  `json:"attrs,omitzero"`
	Approve map[string][]netip.Prefix            `json:"approve,omitzero"`
}

// grant is what capabilities some nodes have at others.
type grant struct {
	From []string                     `json:"from"`
	To   []string                     `json:"to"`
	Caps map[string][]json.RawMessage `json:"caps"`
}

// sections answers each section that was asked for.
func (a *answer) sections(q *question, m *mesh) error {
	if q.Ask.Reach != nil {
		text, err := m.reach(q.Ask.Reach)
		if err != nil {
			return err
		}
		a.Reach = &text
	}
	a.Peers = each(q.Ask.Peers, m.peers)
	a.Routes = each(q.Ask.Routes, m.routes)
	if q.Ask.Caps != nil {
		a.Caps = []grant{}
		for _, name := range q.Ask.Caps {
			a.Caps = append(a.Caps, m.caps(name)...)
		}
	}
	if q.Ask.SSH != nil {
		text := m.ssh(q.Ask.SSH.Nodes, q.Ask.SSH.Logins)
		a.SSH = &text
	}
	if q.Ask.Attrs != nil {
		a.Attrs = m.attrs(q.Ask.Attrs)
	}
	a.Approve = each(q.Ask.Approve, func(name string) []netip.Prefix { return m.approve(q, name) })
	return nil
}

// each answers for each name; nil if nobody asked.
func each[T any](names []string, one func(name string) T) map[string]T {
	if names == nil {
		return nil
	}
	all := make(map[string]T, len(names))
	for _, name := range names {
		all[name] = one(name)
	}
	return all
}

func (m *mesh) peers(name string) []string {
	all := []string{}
	for id := range m.Peers(m.ids[name]) {
		all = append(all, m.title[id])
	}
	slices.Sort(all)
	return all
}

func (m *mesh) routes(name string) map[string][]netip.Prefix {
	hops := make(map[string][]netip.Prefix)
	for id, all := range m.NextHops(m.ids[name]) {
		hops[m.title[id]] = all
	}
	return hops
}

// caps gives what sources may do at a node. Sources with equal capabilities
// share an entry.
func (m *mesh) caps(name string) []grant {
	byText := make(map[string]*grant)
	for id, given := range m.Capabilities(m.ids[name]) {
		key := fmt.Sprint(given) // maps print sorted by key
		g := byText[key]
		if g == nil {
			g = &grant{To: []string{name}, Caps: make(map[string][]json.RawMessage)}
			for capability, values := range given {
				g.Caps[capability] = rawAll(values)
			}
			byText[key] = g
		}
		g.From = append(g.From, m.title[id])
	}
	all := make([]grant, 0, len(byText))
	for _, g := range byText {
		slices.Sort(g.From)
		all = append(all, *g)
	}
	slices.SortFunc(all, func(a, b grant) int { return cmp.Compare(a.From[0], b.From[0]) })
	return all
}

func rawAll(values []string) []json.RawMessage {
	all := make([]json.RawMessage, len(values))
	for i, v := range values {
		all[i] = json.RawMessage(v)
	}
	return all
}

func (m *mesh) ssh(nodes, logins []string) string {
	var b strings.Builder
	for _, to := range nodes {
		for _, from := range nodes {
			for _, login := range logins {
				b.WriteByte(sshMark(m.SSH(m.ids[from], m.ids[to], login)))
			}
		}
	}
	return b.String()
}

func (m *mesh) attrs(wanted []string) map[string][]string {
	carried := m.Attributes(wanted)
	return each(wanted, func(attribute string) []string {
		carriers := []string{}
		for _, id := range carried[attribute] {
			carriers = append(carriers, m.title[id])
		}
		slices.Sort(carriers)
		return carriers
	})
}

func (m *mesh) approve(q *question, name string) []netip.Prefix {
	i := slices.IndexFunc(q.Nodes, func(n node) bool { return n.Name == name })
	if i < 0 {
		return []netip.Prefix{}
	}
	approved := m.ApprovedRoutes(m.Node(m.ids[name]), q.Nodes[i].Advertised)
	return append([]netip.Prefix{}, approved...)
}

func sshMark(v compile.SSHVerdict, _ any) byte {
	switch v {
	case compile.SSHAccepted:
		return 'a'
	case compile.SSHChecked:
		return 'c'
	}
	return '-'
}
