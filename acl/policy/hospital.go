package policy

import (
	"iter"
	"maps"
	"slices"
)

// Segment gives a segment ("seg:ehr").
func (p *Policy) Segment(name string) (Segment, bool) {
	return of(p, name, func(p *Policy) map[string]Segment { return p.segments })
}

// Segments gives the names of all segments, sorted.
func (p *Policy) Segments() []string {
	return sortedKeys(p, func(p *Policy) map[string]Segment { return p.segments })
}

// Service gives a service ("dicom"): the file's own, or of the catalogue that every
// file has.
func (p *Policy) Service(name string) (Service, bool) {
	return of(p, name, (*Policy).allServices)
}

// Services gives the names of all services, sorted.
func (p *Policy) Services() []string {
	return sortedKeys(p, (*Policy).allServices)
}

func (p *Policy) allServices() map[string]Service {
	if p.services == nil {
		return nil
	}
	return p.services()
}

// Schedule gives a schedule ("office").
func (p *Policy) Schedule(name string) (Schedule, bool) {
	return of(p, name, func(p *Policy) map[string]Schedule { return p.schedules })
}

// OnCall gives a roster ("icu").
func (p *Policy) OnCall(name string) (OnCall, bool) {
	return of(p, name, func(p *Policy) map[string]OnCall { return p.oncall })
}

// Timely tells whether what the policy says depends on the time or on rosters.
func (p *Policy) Timely() bool { return p != nil && len(p.schedules)+len(p.oncall) > 0 }

// OnCalls gives the names of all rosters, sorted.
func (p *Policy) OnCalls() []string {
	return sortedKeys(p, func(p *Policy) map[string]OnCall { return p.oncall })
}

// Approval gives an approval ("approve:vendor").
func (p *Policy) Approval(name string) (Approval, bool) {
	return of(p, name, func(p *Policy) map[string]Approval { return p.approvals })
}

// Lockdown gives a level of alarm.
func (p *Policy) Lockdown(name string) (Lockdown, bool) {
	return of(p, name, func(p *Policy) map[string]Lockdown { return p.lockdowns })
}

// Lockdowns gives the names of all levels of alarm, sorted.
func (p *Policy) Lockdowns() []string {
	return sortedKeys(p, func(p *Policy) map[string]Lockdown { return p.lockdowns })
}

func of[V any](p *Policy, name string, section func(*Policy) map[string]V) (found V, ok bool) {
	if p == nil {
		return found, false
	}
	found, ok = section(p)[name]
	return found, ok
}

func sortedKeys[V any](p *Policy, section func(*Policy) map[string]V) []string {
	if p == nil {
		return nil
	}
	return slices.Sorted(maps.Keys(section(p)))
}

// Assets gives how devices earn tags, in the file's order.
func (p *Policy) Assets() []Asset {
	if p == nil {
		return nil
	}
	return p.assets
}

// BreakGlass gives the ways around conditions in the file's order.
func (p *Policy) BreakGlass() []BreakGlass {
	if p == nil {
		return nil
	}
	return p.glasses
}

// Forbids yields the rules that forbid: those of "forbid", and those of each
// level of lockdown by its name, each in the file's order.
func (p *Policy) Forbids() iter.Seq[*Rule] {
	return func(yield func(*Rule) bool) {
		if p == nil {
			return
		}
		for i := range p.forbids {
			if !yield(&p.forbids[i]) {
				return
			}
		}
		for _, name := range sortedKeys(p, func(p *Policy) map[string]Lockdown { return p.lockdowns }) {
			for i := range p.lockdowns[name].Rules {
				if !yield(&p.lockdowns[name].Rules[i]) {
					return
				}
			}
		}
	}
}
