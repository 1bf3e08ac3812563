package compile

import (
	"reflect"
	"time"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/acl/policy"
)

// terms is what a rule says besides who, where and what.
type terms struct {
	postures, devices, through []string
	when                       policy.When
	approval                   string
	drain                      time.Duration
	limit                      *policy.Limit
	log                        acl.LogLevel
	logSet, mustRecord         bool
	monitor                    time.Time
	glass, level               string
	beyond                     bool
}

func termsOf(r *policy.Rule) terms {
	return terms{
		postures: r.Postures, devices: r.Devices, through: r.Through, when: r.When, approval: r.Approval, drain: r.OnExpiry.Drain,
		limit: r.Limit, log: r.Log, logSet: r.LogSet, mustRecord: r.MustRecord, monitor: r.Monitor, glass: r.Glass, level: r.Level, beyond: r.Beyond,
	}
}

func sameTerms(a, b *policy.Rule) bool { return reflect.DeepEqual(termsOf(a), termsOf(b)) }

func sameSegment(a, b policy.Segment) bool {
	a.Pos, b.Pos = policy.Position{}, policy.Position{}
	return reflect.DeepEqual(a, b)
}

func sameGlass(a, b policy.BreakGlass) bool {
	a.Pos, b.Pos = policy.Position{}, policy.Position{}
	return reflect.DeepEqual(a, b)
}

func sameSchedule(a, b policy.Schedule) bool { return a.Weekly.Equal(b.Weekly) }
