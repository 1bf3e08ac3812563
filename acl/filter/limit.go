package filter

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/acl/packet"
)

// A limit counts by source: the person who owns the peer, with all of that person's
// peers; else the machine, by all of its addresses; else, behind a gateway, the prefix
// as the map has it. An address is no source, since a network behind a gateway
// may invent as many as it likes.

// past is what rules ask for and no table says.
type past struct {
	lease  int64
	meters *meters // nil: nothing has been counted
	tag    uint32  // of the id of the rule by which the flow passes; 0: it would begin
}

// past gives what is known to judge a flow by, or a new one if it is nil.
func (f *Filter) past(fl *flow) past {
	p := past{lease: f.lease, meters: &f.meters}
	if fl != nil {
		p.tag = f.tagOf(fl)
	}
	return p
}

// tagOf gives the tag of the rule by which a flow passes.
func (f *Filter) tagOf(fl *flow) uint32 {
	if fl.fast&metered != 0 {
		return f.meters.all[fl.tag].tag
	}
	return fl.tag
}

// allows reports whether the limit of a rule that else permits a flow lets it pass,
// and, if not, the time since boot at which it will. A flow that has begun is not
// asked for again by the limit of flows in which it was counted.
func (p *past) allows(r *rule, src *home, m *Moment) (acl.Reason, int64) {
	if p.meters == nil || r.limit.window == 0 || r.limit.flows && p.tag == r.tag {
		return acl.Permitted, forever
	}
	n := p.meters.find(meterKey{r.hash, src.source})
	switch {
	case n == noMeter && r.limit.exceed != acl.Alert && p.meters.full():
		return acl.TableFull, m.Boot
	case n != noMeter && p.meters.all[n].refuses(m.Machine):
		return acl.LimitReached, m.boot(p.meters.all[n].end, false)
	}
	return acl.Permitted, forever
}

// afford charges a flow that would begin to the limit of the rule that permits it. If
// that is more than there is, the rule permits it no more: the rules are asked again.
func (f *Filter) afford(origin Direction, k *key, size int, dec decision) decision {
	for dec.permits() {
		r := &f.table.rules[dec.rule]
		if r.limit.window == 0 {
			break
		}
		n := f.meters.of(meterKey{r.hash, dec.ends.src.source}, r.tag, r.limit)
		if n == noMeter {
			break
		}
		price := uint64(size)
		if r.limit.flows {
			price = 1
		}
		switch f.charge(n, price, k, origin, dec) {
		case passing:
			return dec
		case slowed:
			dec.reason = acl.Throttled
			return dec
		}
		dec = f.ask(k, origin)
	}
	return dec
}

// spend charges a packet of a flow to the limit of its rule. If that is more than
// there is, the flow is judged again.
func (f *Filter) spend(fl *flow, n int32, size int) decision {
	for fl.fast&metered != 0 {
		dec := decision{reason: acl.Established, rule: fl.rule}
		switch f.charge(int32(fl.tag), uint64(size), &fl.key, fl.origin, dec) {
		case passing:
			return dec
		case slowed:
			dec.reason = acl.Throttled
			return dec
		}
		if dec = f.again(fl, n); !dec.permits() {
			return dec
		}
	}
	return decision{reason: acl.Established, rule: fl.rule}
}

// charge charges meter n, and tells of the first excess of its window.
func (f *Filter) charge(n int32, price uint64, k *key, origin Direction, dec decision) outcome {
	out, first := f.meters.all[n].charge(price, &f.now)
	if first {
		f.tellExcess(&f.meters.all[n], k, origin, dec)
	}
	return out
}

// meter has a flow count under a rule from now on, or under none.
func (f *Filter) meter(fl *flow, r *rule, src *home) {
	f.unmeter(fl)
	fl.tag = r.tag
	if r.limit.window == 0 || r.limit.flows {
		return
	}
	n := f.meters.of(meterKey{r.hash, src.source}, r.tag, r.limit)
	if n == noMeter {
		return
	}
	m := &f.meters.all[n]
	m.flows++
	fl.tag, fl.fast = uint32(n), fl.fast&^(1<<In|1<<Out)|metered
}

func (f *Filter) unmeter(fl *flow) {
	if fl.fast&metered != 0 {
		m := &f.meters.all[fl.tag]
		m.flows--
		fl.tag, fl.fast = m.tag, fl.fast&^metered
	}
}

// join counts a flow that came under another rule than it began by.
func (f *Filter) join(fl *flow, r *rule, src *home) {
	if !r.limit.flows || f.tagOf(fl) == r.tag {
		return
	}
	if n := f.meters.of(meterKey{r.hash, src.source}, r.tag, r.limit); n != noMeter {
		m := &f.meters.all[n]
		m.turn(f.now.Machine)
		m.used++
	}
}

// overdrawn reports whether a flow passes no more since its rule's limit is reached.
func (f *Filter) overdrawn(fl *flow) bool {
	if fl.fast&metered == 0 {
		return false
	}
	m := &f.meters.all[fl.tag]
	return m.refuses(f.now.Machine)
}

// quickly is the end of quick for a flow whose bytes count, so that others need
// not be asked whether theirs do.
func (f *Filter) quickly(d Direction, fl *flow, p *packet.Packet) *flow {
	now := f.now.Boot
	if fl.fast&metered == 0 || fl.version != f.version || fl.state == opening && d != fl.origin || now >= fl.end || now >= fl.idle ||
		p.Flags&(packet.SYN|packet.FIN|packet.RST) != 0 {
		return nil
	}
	m, size := &f.meters.all[fl.tag], uint64(p.Len)
	if f.now.Machine >= m.end || m.used+size > m.quick {
		return nil
	}
	m.used += size
	fl.idle = now + f.rests[fl.rest&(rests-1)]
	fl.packets[d&1]++
	fl.bytes[d&1] += size
	f.counts[d&1][acl.Established]++
	return fl
}

// sources tells of each home whose limits what comes from it counts by.
func (b *compiler) sources(mesh []netip.Prefix) {
	t := b.table
	if !slices.ContainsFunc(t.rules, func(r rule) bool { return r.limit.window != 0 }) {
		return
	}
	for i := range t.homes {
		h := &t.homes[i]
		if h.holder < self {
			continue
		}
		p, prefix := &t.holders[h.holder], b.prefixes[i]
		inMesh := func(m netip.Prefix) bool { return m.Overlaps(prefix) && m.Bits() <= prefix.Bits() }
		switch {
		case p.owner != 0:
			h.source = hashOf(fmt.Sprint("person ", uint64(p.owner)))
		case slices.ContainsFunc(mesh, inMesh):
			h.source = hashOf("machine " + p.id)
		default:
			h.source = hashOf("prefix " + prefix.String())
		}
	}
}

func hashOf(text string) uint64 {
	sum := sha256.Sum256([]byte(text))
	return binary.BigEndian.Uint64(sum[:])
}
