package filter_test

import (
	"testing"
	"time"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/acl/filter"
	"github.com/cordonmesh/cordon/acl/packet"
)

// warded is a map with one peer whose login ends in half an hour, one rule that
// needs it and drains for twenty minutes, and what a test adds.
func warded(change func(r *acl.Rule, c *filter.Config)) filter.Config {
	c := filter.Config{Revision: 1}
	c.Self.Prefixes = []acl.PrefixClass{{Prefix: prefix("100.64.0.1"), Class: 1}}
	c.Peers = []filter.Party{{ID: "peer0", Prefixes: []acl.PrefixClass{{Prefix: prefix("100.65.0.0"), Class: 2}},
		Facts: []acl.FactEnd{{Fact: "login", Until: noon().Add(30 * time.Minute)}}}}
	r := acl.Rule{ID: "ward", Src: []acl.Class{2}, Dst: []acl.Class{1}, Needs: []acl.Fact{"login"}, Drain: 20 * time.Minute,
		Open: []acl.Service{{Protocol: acl.TCP, First: 443, Last: 443}}}
	if change != nil {
		change(&r, &c)
	}
	c.Rules.In = []acl.Rule{r}
	return c
}

func judgeAt(f *filter.Filter, m filter.Moment, p *packet.Packet) acl.Verdict {
	b := f.Begin(m)
	defer b.End()
	return b.In(p)
}

// While nobody knows the time, what is forbidden for a time is forbidden, unless the
// fact that it needs is not there whatever the time is.
func TestForbiddenWhileTheTimeIsUnknown(t *testing.T) {
	unknown := filter.MomentOf(time.Hour, time.Time{}, 0)
	hour := noon().Add(time.Hour)
	for name, tt := range map[string]struct {
		forbid acl.Rule
		want   acl.Reason
	}{
		"for ever":          {acl.Rule{}, acl.Forbidden},
		"from an hour on":   {acl.Rule{NotBefore: hour}, acl.Forbidden},
		"until an hour":     {acl.Rule{NotAfter: hour}, acl.Forbidden},
		"with a fact":       {acl.Rule{Needs: []acl.Fact{"login"}}, acl.Forbidden},
		"with no such fact": {acl.Rule{Needs: []acl.Fact{"visitor"}}, acl.Permitted},
	} {
		f := newFilter(t, filter.Options{})
		f.Load(compile(t, warded(func(r *acl.Rule, c *filter.Config) {
			r.Needs = nil
			tt.forbid.ID, tt.forbid.Src, tt.forbid.Dst, tt.forbid.Open = "ban", r.Src, r.Dst, r.Open
			c.Rules.ForbidIn = []acl.Rule{tt.forbid}
		})))
		if v := judgeAt(f, unknown, segment(0, 1000, 443, 2)); v.Reason != tt.want {
			t.Errorf("%s: %v, want %v", name, v.Reason, tt.want)
		}
	}
}

// Before the first lease the clock for people runs ahead: it may begin what is
// forbidden too early, and never ends it too early.
func TestForbiddenByTheClockThatForbidsMore(t *testing.T) {
	ahead := filter.MomentOf(time.Hour, noon(), 40*time.Minute) // machines' noon is people's 12:40
	for name, bound := range map[string]acl.Rule{
		"begins": {NotBefore: noon().Add(35 * time.Minute)}, "ends": {NotAfter: noon().Add(5 * time.Minute)}, "fact": {},
	} {
		f := newFilter(t, filter.Options{})
		f.Load(compile(t, warded(func(r *acl.Rule, c *filter.Config) {
			bound.ID, bound.Src, bound.Dst, bound.Open, bound.Needs = "ban", r.Src, r.Dst, r.Open, r.Needs
			r.Needs = nil
			c.Rules.ForbidIn = []acl.Rule{bound}
		})))
		if v := judgeAt(f, ahead, segment(0, 1000, 443, 2)); v.Reason != acl.Forbidden {
			t.Errorf("%s: %v, want it forbidden", name, v.Reason)
		}
	}
}

// A clock that jumps takes a right's end with it: what should have been cut off by
// now is, and a flow drains no longer than it would have.
func TestDrainFollowsAClockThatJumps(t *testing.T) {
	boot := time.Hour
	at := func(later, policy time.Duration) filter.Moment {
		return filter.MomentOf(boot+later, noon().Add(policy), 0)
	}
	for name, tt := range map[string]struct {
		jump time.Duration // policy time, when ten minutes have passed
		then time.Duration // until it is cut off
	}{
		"not at all":        {10 * time.Minute, 40 * time.Minute},
		"into the draining": {45 * time.Minute, 5 * time.Minute},
		"beyond it":         {50 * time.Minute, 0},
	} {
		f := newFilter(t, filter.Options{})
		f.Load(compile(t, warded(nil)))
		judgeAt(f, at(0, 0), segment(0, 1000, 443, 2))
		b := f.Begin(at(0, 0))
		b.Out(reply(0, 1000, 0x12))
		b.End()
		for _, step := range []time.Duration{0, tt.then - time.Second, tt.then} {
			if step < 0 {
				continue
			}
			v := judgeAt(f, at(10*time.Minute+step, tt.jump+step), segment(0, 1000, 443, 0x10))
			if v.Allow != (step < tt.then) {
				t.Errorf("%s: after %s %v", name, step, v.Reason)
			}
		}
	}
}

// A flow whose address went over to somebody else, who never had the fact, does not
// drain.
func TestNobodyElseDrains(t *testing.T) {
	f := newFilter(t, filter.Options{})
	f.Load(compile(t, warded(nil)))
	open(f, noon(), 0, 1000)
	f.Load(compile(t, warded(func(_ *acl.Rule, c *filter.Config) { c.Peers[0].ID, c.Peers[0].Facts = "other", nil })))
	if v := judge(f, noon(), filter.In, segment(0, 1000, 443, 0x10)); v.Allow {
		t.Errorf("it goes on: %v", v.Reason)
	}
}

// A listener is not told of the end of a connection that drains.
func TestDrainingConnectionsHaveNotEnded(t *testing.T) {
	f := newFilter(t, filter.Options{})
	f.Load(compile(t, warded(nil)))
	open(f, noon(), 0, 1000)
	without := warded(func(_ *acl.Rule, c *filter.Config) { c.Peers[0].Facts = nil })
	f.Load(compile(t, without))
	if got := f.Ended(filter.At(noon()), 10); len(got) != 0 {
		t.Errorf("%d connections ended", len(got))
	}
	without.Rules.In[0].Drain = 0
	f.Load(compile(t, without))
	if got := f.Ended(filter.At(noon()), 10); len(got) != 1 {
		t.Errorf("%d connections ended when the rule did not drain any more", len(got))
	}
}

// However many flows end, a bounded number of kinds is told of, the first to end
// first, and judging allocates nothing for it.
func TestEndingsAreBounded(t *testing.T) {
	f := newFilter(t, filter.Options{})
	c := warded(func(r *acl.Rule, _ *filter.Config) { r.Open[0].First = 400 })
	f.Load(compile(t, c))
	for port := range 44 {
		for from := range 3 {
			judge(f, noon(), filter.In, segment(0, 1000+from, uint16(400+port), 2))
			judge(f, noon(), filter.Out, answered(segment(0, 1000+from, uint16(400+port), 0x12)))
		}
	}
	later := noon().Add(29 * time.Minute)
	if got := f.Ending(filter.At(later), 59*time.Second, 20); len(got) != 0 {
		t.Errorf("%d kinds end within a time in which none does", len(got))
	}
	got := f.Ending(filter.At(later), time.Minute, 20)
	if len(got) != 20 || got[0].Flows != 3 || got[0].Draining() || !got[0].End.Equal(noon().Add(30*time.Minute)) {
		t.Errorf("%d kinds end, the first is %+v", len(got), got[0])
	}
	sweep := func() { // the first time it warms up, the second time everything drains
		later = later.Add(time.Minute)
		f.Sweep(filter.At(later.Add(-time.Second)))
	}
	if n := testing.AllocsPerRun(1, sweep); n != 0 {
		t.Errorf("%v allocations while flows begin to drain", n)
	}
	began, more := f.Drained()
	flows := more
	for _, e := range began {
		flows += e.Flows
	}
	if len(began) != 20 || flows != 44*3 || !began[0].Draining() || !began[0].Cut.Equal(noon().Add(50*time.Minute)) {
		t.Errorf("%d kinds of %d flows drain, the first is %+v", len(began), flows, began[0])
	}
	if began, more := f.Drained(); len(began) != 0 || more != 0 {
		t.Errorf("told twice: %v and %d", began, more)
	}
}

// What ends first is told of first, wherever it stands in the table.
func TestTheFirstToEndIsToldOf(t *testing.T) {
	f := newFilter(t, filter.Options{})
	c := warded(func(r *acl.Rule, c *filter.Config) {
		c.Peers[0].Facts = append(c.Peers[0].Facts, acl.FactEnd{Fact: "mfa", Until: noon().Add(40 * time.Minute)})
	})
	later := c.Rules.In[0]
	later.ID, later.Needs, later.Open = "later", []acl.Fact{"mfa"}, []acl.Service{{Protocol: acl.TCP, First: 80, Last: 80}}
	c.Rules.In = append(c.Rules.In, later)
	f.Load(compile(t, c))
	judge(f, noon(), filter.In, segment(0, 1000, 80, 2))
	judge(f, noon(), filter.In, segment(0, 1000, 443, 2))
	if got := f.Ending(filter.At(noon()), time.Hour, 1); len(got) != 1 || got[0].Dst.Port() != 443 || got[0].Verdict.Rule != "ward" {
		t.Errorf("told of %+v", got)
	}
}

// answered turns a packet round.
func answered(p *packet.Packet) *packet.Packet {
	p.Src, p.Dst, p.SrcPort, p.DstPort = p.Dst, p.Src, p.DstPort, p.SrcPort
	return p
}
