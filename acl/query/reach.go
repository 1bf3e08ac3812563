package query

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/acl/filter"
)

// reach judges every combination of the points, those of a destination together,
// and in them those of a source. Two families never meet.
func (m *mesh) reach(q *reach) (string, error) {
	tables := make(map[string]*filter.Table)
	now := filter.At(time.Now())
	answers := make([]byte, 0, len(q.Dst)*len(q.Src)*len(q.Probes))
	for _, dst := range q.Dst {
		t, err := m.table(tables, q, dst.Node)
		if err != nil {
			return "", err
		}
		for _, src := range q.Src {
			if src.IP.Is4() != dst.IP.Is4() {
				continue
			}
			pair := t.Between(src.IP, dst.IP)
			for _, probe := range q.Probes {
				answers = append(answers, mark(pair.Judge(acl.Protocol(probe[0]), probe[1], now)))
			}
		}
	}
	return string(answers), nil
}

func mark(v acl.Verdict) byte {
	if v.Allow {
		return '1'
	}
	return '0'
}

// table gives the filter's table of a node, made at the first question about it.
func (m *mesh) table(known map[string]*filter.Table, q *reach, name string) (*filter.Table, error) {
	if t, ok := known[name]; ok {
		return t, nil
	}
	t, err := filter.Compile(m.config(q, name))
	if err != nil {
		return nil, fmt.Errorf("node %q: %w", name, err)
	}
	known[name] = t
	return t, nil
}

// config is the map that the node would have if its peers had all addresses that
// are asked about.
func (m *mesh) config(q *reach, name string) filter.Config {
	id := m.ids[name]
	c := filter.Config{Rules: m.Rules(id), Self: filter.Party{Owner: m.Owner(id)}}
	own := make(map[netip.Addr]bool)
	for _, dst := range q.Dst {
		if dst.Node == name && !own[dst.IP] && m.Answers(id, dst.IP) {
			own[dst.IP] = true
			class, _ := m.ClassOf(dst.IP)
			c.Self.Prefixes = append(c.Self.Prefixes, classed(dst.IP, class))
		}
	}
	peers := make(map[acl.Owner]*filter.Party)
	for _, src := range q.Src {
		if own[src.IP] || !src.IP.IsValid() {
			continue
		}
		class, owner := m.ClassOf(src.IP)
		p := peers[owner]
		if p == nil {
			p = &filter.Party{ID: fmt.Sprint("owner ", owner), Owner: owner}
			peers[owner] = p
		}
		p.Prefixes = append(p.Prefixes, classed(src.IP, class))
	}
	for _, p := range peers {
		c.Peers = append(c.Peers, *p)
	}
	c.Rules.Out = nil
	return c
}

func classed(a netip.Addr, class acl.Class) acl.PrefixClass {
	return acl.PrefixClass{Prefix: netip.PrefixFrom(a, a.BitLen()), Class: class}
}
