package filter

import (
	"math"
	"math/bits"
	"time"

	"github.com/cordonmesh/cordon/acl"
)

// limit is an acl.Limit, compiled.
type limit struct {
	most   uint64 // bytes, or flows
	window int64  // nanoseconds; 0: there is no limit
	flows  bool
	exceed acl.Exceed
}

func limitOf(l acl.Limit) limit {
	return limit{most: max(l.Bytes, l.Flows), window: int64(l.Window), flows: l.Flows > 0, exceed: l.OnExceed}
}

// meter is what one source has moved under the rules of one id in a window. It
// belongs to the id: other rules, or another limit, go on with the count.
type meter struct {
	used  uint64 // since the window began
	quick uint64 // of used: up to so much needs no second look
	end   int64  // policy time at which the window ends
	over  uint64 // the limit that was exceeded in this window; 0: none
	key   meterKey
	limit limit
	paid  int64  // throttled: time since boot up to which the limit's rate is used up
	tag   uint32 // of the rule's id
	flows int32  // that count here
	_     uint64 // a multiple of half a cache line: what a packet reads stands in one
}

// meterKey names a meter by hashes: of the rule's id, and of the source.
type meterKey struct{ rule, source uint64 }

// outcome says what becomes of a packet, or of a new flow, by a limit.
type outcome uint8

const (
	passing outcome = iota
	slowed
	cutOff
)

// obey makes l the meter's limit. Its count stays.
func (m *meter) obey(l limit) {
	m.limit = l
	m.quick = l.most
	switch {
	case !m.exceeded():
	case l.exceed == acl.Alert:
		m.quick = math.MaxUint64
	default:
		m.quick = 0
	}
}

// exceeded reports whether the limit was exceeded in this window. One that was raised
// since was not.
func (m *meter) exceeded() bool { return m.over >= m.limit.most }

// refuses reports whether the limit lets nothing begin at a policy time.
func (m *meter) refuses(now int64) bool {
	return m.limit.exceed == acl.Cut && m.exceeded() && now < m.end
}

// charge counts bytes, or flows, and says what becomes of them. It tells whether
// they are the first to exceed the limit in this window.
func (m *meter) charge(n uint64, now *Moment) (out outcome, first bool) {
	m.turn(now.Machine)
	if m.used+n > m.quick && !m.exceeded() {
		m.over, m.paid, first = m.limit.most, now.Boot, true
		m.obey(m.limit)
	}
	switch {
	case m.used+n <= m.quick:
	case m.limit.exceed == acl.Cut:
		return cutOff, first
	case !m.pay(n, now.Boot):
		return slowed, first
	}
	m.used += n
	return passing, first
}

// turn begins a new window if it is time.
func (m *meter) turn(now int64) {
	if now < m.end {
		return
	}
	m.end, m.used, m.over = windowEnd(now, m.limit.window), 0, 0
	m.obey(m.limit)
}

// windowEnd gives the end of the window that a policy time is in. While nobody knows
// the time it is one window.
func windowEnd(now, window int64) int64 {
	if now == never {
		return never + 1
	}
	into := now % window
	if into < 0 {
		into += window
	}
	return later(now, window-into)
}

// pay reports whether n may pass by the rate that the limit gives, spread evenly over
// the window. What was not used in the second before may come at once, and if a
// single packet takes longer than that, then one.
func (m *meter) pay(n uint64, boot int64) bool {
	price := m.limit.price(n)
	m.paid = max(m.paid, boot-max(price, int64(time.Second)))
	if boot-m.paid < price {
		return false
	}
	m.paid += price
	return true
}

// price gives the nanoseconds in which a limit gives n.
func (l *limit) price(n uint64) int64 {
	hi, lo := bits.Mul64(n, uint64(l.window))
	if hi >= l.most {
		return math.MaxInt64 / 2
	}
	price, _ := bits.Div64(hi, lo, l.most)
	return int64(min(price, math.MaxInt64/2))
}
