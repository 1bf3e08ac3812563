package wire

import (
	"cmp"
	"slices"
	"time"

	"github.com/cordonmesh/cordon/acl"
)

const maxHold = int64(100 * 366 * 24 * 3600) // a hundred years, for a drain too

func (d *decoder) rules(in []*Rule) []acl.Rule {
	if len(in) == 0 || d.err != nil {
		return nil
	}
	out := make([]acl.Rule, len(in))
	for i, r := range in {
		if out[i] = d.rule(r); d.err != nil {
			return nil
		}
	}
	return out
}

func (d *decoder) rule(r *Rule) acl.Rule {
	d.check(isWord(r.GetId()), "rule id %q is not a word", clip(r.GetId()))
	d.check(r.GetHold() >= 0 && r.GetHold() <= maxHold, "rule %q: hold of %d seconds", clip(r.GetId()), r.GetHold())
	d.check(r.GetDrain() >= 0 && r.GetDrain() <= maxHold, "rule %q: drain of %d seconds", clip(r.GetId()), r.GetDrain())
	d.check(r.GetLog() <= uint32(acl.LogRecord), "rule %q: log level %d", clip(r.GetId()), r.GetLog())
	d.check(limitFits(r.Limit), "rule %q: limit %s", clip(r.GetId()), clip(r.GetLimit().String()))
	return acl.Rule{ID: acl.RuleID(r.GetId()), Src: d.classList(r.GetSrc()), Dst: d.classList(r.GetDst()),
		SameOwner: r.GetSameOwner(), Needs: decodeWords[acl.Fact](d, "needs", r.GetNeeds()), Open: d.services(r.GetOpen()),
		NotBefore: d.moment(r.GetNotBefore()), NotAfter: d.moment(r.GetNotAfter()),
		Hold: time.Duration(r.GetHold()) * time.Second, Drain: time.Duration(r.GetDrain()) * time.Second, Monitor: r.GetMonitor(),
		Log: acl.LogLevel(r.GetLog()), Limit: decodeLimit(r.Limit), Features: d.features(r)}
}

// features adds FeatureUnknown where a field is not known here, or what becomes of
// what exceeds a limit.
func (d *decoder) features(r *Rule) []string {
	features := decodeWords[string](d, "features", r.GetFeatures())
	unknown := len(r.ProtoReflect().GetUnknown()) > 0
	if l := r.Limit; l != nil {
		unknown = unknown || len(l.ProtoReflect().GetUnknown()) > 0 || l.OnExceed > uint32(acl.Cut)
	}
	for _, s := range r.GetOpen() {
		unknown = unknown || len(s.ProtoReflect().GetUnknown()) > 0
	}
	if !unknown || slices.Contains(features, FeatureUnknown) {
		return features
	}
	return sorted(append(features, FeatureUnknown), cmp.Compare[string])
}

// limitFits tells whether a limit may be obeyed, or was written by a later build.
func limitFits(l *Limit) bool {
	return l == nil || (l.Bytes == 0) != (l.Flows == 0) && l.Window > 0 && l.Window <= maxHold && l.OnExceed > 0 && l.OnExceed <= 255
}

func decodeLimit(l *Limit) acl.Limit {
	return acl.Limit{Bytes: l.GetBytes(), Flows: l.GetFlows(), Window: time.Duration(l.GetWindow()) * time.Second, OnExceed: acl.Exceed(l.GetOnExceed())}
}

func (d *decoder) moment(seconds int64) time.Time {
	t, err := moment(seconds)
	if err != nil {
		d.fail(err)
	}
	return t
}

func (d *decoder) classList(in []uint64) []acl.Class {
	return decodeList(d, "classes", in, cmp.Compare[acl.Class], func(c uint64) (acl.Class, error) {
		if c == 0 {
			return 0, malformed("class 0, which is no class, in a rule")
		}
		return acl.Class(c), nil
	})
}

func (d *decoder) services(in []*Service) []acl.Service {
	return decodeList(d, "services", in, compareService, func(s *Service) (acl.Service, error) {
		if s.GetProtocol() > 255 || s.GetFirst() > s.GetLast() || s.GetLast() > 65535 {
			return acl.Service{}, malformed("service %d/%d-%d", s.GetProtocol(), s.GetFirst(), s.GetLast())
		}
		return acl.Service{Protocol: acl.Protocol(s.Protocol), First: uint16(s.First), Last: uint16(s.Last)}, nil
	})
}
