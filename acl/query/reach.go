package query

import (
	"fmt"
	"time"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/acl/filter"
)

// reach judges every combination of the points, those of a destination together,
// and in them those of a source. Two families never meet.
func (m *mesh) reach(q *reach) (string, error) {
	a := asking{mesh: m, judges: make(map[*acl.Rule]*filter.Judge)}
	src, dst := a.seat(q)
	now := filter.At(time.Now())
	answers := make([]byte, 0, len(q.Dst)*len(q.Src)*len(q.Probes))
	for i, to := range q.Dst {
		judge, err := a.judge(to)
		if err != nil {
			return "", err
		}
		for k, from := range q.Src {
			if from.IP.Is4() != to.IP.Is4() {
				continue
			}
			for _, probe := range q.Probes {
				mark := byte('0')
				if judge != nil && judge.Between(src[k], dst[i], to.IP.Is6()).Judge(probe.protocol(to.IP), probe.Port, now).Allow {
					mark = '1'
				}
				answers = append(answers, mark)
			}
		}
	}
	return string(answers), nil
}

// asking is one matrix of questions on its way.
type asking struct {
	*mesh
	places *filter.Places
	judges map[*acl.Rule]*filter.Judge // by the first rule: nodes share rule sets
}

// seat gives where in places each point stands.
func (a *asking) seat(q *reach) (src, dst []int) {
	seats := make(map[filter.Place]int)
	var places []filter.Place
	of := func(points []point) []int {
		all := make([]int, len(points))
		for i, p := range points {
			class, owner := a.ClassOf(p.IP)
			place := filter.Place{Class: class, Owner: owner}
			seat, ok := seats[place]
			if !ok {
				seat = len(places)
				seats[place] = seat
				places = append(places, place)
			}
			all[i] = seat
		}
		return all
	}
	src, dst = of(q.Src), of(q.Dst)
	a.places = filter.NewPlaces(places)
	return src, dst
}

// judge gives who judges packets that arrive at a point: nobody where the node
// does not answer for the address, or has no rules.
func (a *asking) judge(to point) (*filter.Judge, error) {
	id, known := a.ids[to.Node]
	if !known || !a.Answers(id, to.IP) {
		return nil, nil
	}
	rules := a.Inwards(id)
	if len(rules.In) == 0 {
		return nil, nil
	}
	if judge, ok := a.judges[&rules.In[0]]; ok {
		return judge, nil
	}
	judge, err := a.places.Judge(rules)
	if err != nil {
		return nil, fmt.Errorf("node %q: %w", to.Node, err)
	}
	a.judges[&rules.In[0]] = judge
	return judge, nil
}
