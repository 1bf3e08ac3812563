package filter

import (
	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/acl/packet"
)

// judge looks at a packet from the beginning, and counts the verdict.
func (f *Filter) judge(d Direction, p *packet.Packet) acl.Verdict {
	return f.counted(d, p, f.consider(d, p))
}

// first is judge for a whole packet with ports whose flow is known not to be in the
// table.
func (f *Filter) first(d Direction, p *packet.Packet, k *hashed) acl.Verdict {
	dec, _ := f.begin(d, p, k)
	return f.counted(d, p, dec)
}

// counted makes a verdict of a decision, and takes note of it.
func (f *Filter) counted(d Direction, p *packet.Packet, dec decision) acl.Verdict {
	f.counts[d&1][dec.reason]++
	v := acl.Verdict{Reason: dec.reason, Allow: passes(dec.reason)}
	if dec.rule != noRule {
		v.Rule = f.table.rules[dec.rule].id
	}
	if !v.Allow {
		f.note(d, p, dec, v)
	}
	return v
}

func passes(why acl.Reason) bool { return why == acl.Established || permits(why) }

func refuse(why acl.Reason) decision { return decision{reason: why, rule: noRule} }

func (f *Filter) consider(d Direction, p *packet.Packet) decision {
	if f.table == nil {
		return refuse(acl.NoMap)
	}
	switch p.Shape {
	case packet.Invalid:
		return refuse(acl.Malformed)
	case packet.Error:
		return f.quoted(d, p)
	case packet.Later:
		return f.laterFragment(d, p)
	}
	k := f.flows.seed.hashed(keyOf(d, &p.Flow))
	fl, n := f.living(&k)
	var dec decision
	switch {
	case fl == nil:
		dec, n = f.begin(d, p, &k)
	case d != fl.origin && begins(p):
		dec, n = f.cross(d, p, &k, n)
	default:
		dec = f.within(d, p, fl, n)
	}
	if p.Frag == packet.FirstFragment && n != noFlow && passes(dec.reason) {
		f.fragments.remember(d, p, n, f.flows.at(n), f.now.Boot)
	}
	return dec
}

// living gives the flow of a key and its number, or nil. A flow that is idle is
// forgotten, and so is one of another session than the one that has its address now:
// what comes from there begins anew, with the rights of whoever is there.
func (f *Filter) living(k *hashed) (*flow, int32) {
	fl, n := f.flows.find(k)
	switch {
	case fl == nil:
	case f.now.Boot >= fl.idle:
		f.finish(n, endIdle)
	case f.handed(fl, n):
		f.finish(n, endHanded)
	default:
		return fl, n
	}
	return nil, noFlow
}

// begins reports whether the packet can only be the first of a connection.
func begins(p *packet.Packet) bool {
	return p.Proto == acl.TCP && p.Flags&(packet.SYN|packet.ACK) == packet.SYN
}

// within judges a packet of a flow that is in the table.
func (f *Filter) within(d Direction, p *packet.Packet, fl *flow, n int32) decision {
	if another(fl, p) || fl.version != f.version || f.now.Boot >= fl.end {
		if dec := f.again(fl, n); !dec.permits() {
			if d != fl.origin && dec.reason == acl.NotOurs {
				dec.reason = f.misplaced(d, p)
			}
			return dec
		}
	}
	if another(fl, p) {
		return f.ask(&fl.key, fl.origin)
	}
	if fl.fast&metered != 0 {
		if dec := f.spend(fl, n, p.Len); !passes(dec.reason) {
			return dec
		}
	}
	s := fl.state
	switch {
	case p.Flags&(packet.FIN|packet.RST) != 0:
		s = closing
	case begins(p):
		s = opening
		fl.fast &^= guessed // it is known now who opens it
	case s == opening && d != fl.origin:
		s = open
	}
	fl.enter(s, f.now.Boot)
	fl.packets[d&1]++
	fl.bytes[d&1] += uint64(p.Len)
	if d == Out {
		f.stir(fl, p)
	}
	return decision{reason: acl.Established, rule: fl.rule}
}

// another reports whether a packet begins a connection in the place of one that
// drains: only what is open may go on.
func another(fl *flow, p *packet.Packet) bool { return fl.fast&draining != 0 && begins(p) }

// misplaced says of a packet against the direction of its flow why the ends
// cannot be: when a peer has left the map, what it sends is misplaced, but what
// is sent to it is for an address that nobody has, and its sender is to be told.
func (f *Filter) misplaced(d Direction, p *packet.Packet) acl.Reason {
	if _, why := f.table.locate(d, p.Src, p.Dst); why == acl.UnknownPeer {
		return why
	}
	return acl.NotOurs
}

// again judges a flow by the rules of now, as if it began now the way that it
// began. Its decision permits if the flow may go on, be it for a while only.
func (f *Filter) again(fl *flow, n int32) decision {
	if f.handed(fl, n) {
		dec := refuse(acl.NotOurs)
		f.revoke(fl, dec)
		return dec
	}
	dec := f.rejudge(fl)
	if !dec.permits() {
		if on := f.drain(fl, dec); on.permits() {
			return on
		}
		f.revoke(fl, dec)
		dec.ends = ends{} // those of the flow; the packet may go the other way
		return dec
	}
	turned := (dec.reason == acl.Monitored) != (fl.fast&monitored != 0)
	if turned && fl.state != revoked {
		f.recordEnd(fl, refuse(fl.ownEnd()))
	}
	f.join(fl, &f.table.rules[dec.rule], dec.ends.src)
	f.grant(fl, dec)
	fl.fast &^= draining
	if to := f.accountOf[dec.ends.payer(fl.origin).holder]; to != fl.account {
		f.unlink(n) // the prefix went over to another peer, such as a standby gateway
		f.link(n, to)
	}
	if fl.state == revoked {
		f.revoked--
		fl.state, turned = opening, true
	}
	if turned {
		f.start(fl, dec)
	}
	return dec
}

// grant notes by which rule a flow passes, and until when.
func (f *Filter) grant(fl *flow, dec decision) {
	fl.version, fl.rule, fl.end = f.version, dec.rule, dec.end
	f.meter(fl, &f.table.rules[dec.rule], dec.ends.src)
}

// rejudge asks the rules about a flow. A flow of which only the middle was seen
// may have begun the other way, which is not for its peer to say: by the choice of
// their port they would else keep what they had opened here and may no more.
func (f *Filter) rejudge(fl *flow) decision {
	dec := f.askAt(&fl.key, fl.origin, fl, &f.now)
	if dec.permits() || fl.fast&guessed == 0 || fl.state == revoked {
		return dec
	}
	if other := f.askAt(&fl.key, fl.origin.reverse(), fl, &f.now); other.permits() && f.stood(&fl.key, fl.origin.reverse(), &dec) {
		fl.origin = fl.origin.reverse()
		if fl.state == opening && fl.fast&metered == 0 {
			fl.fast = fl.fast&marks | 1<<fl.origin // a packet the other way is now an answer
		}
		return other
	}
	return dec
}

// ask asks the rules about a flow that begins in a direction.
func (f *Filter) ask(k *key, origin Direction) decision {
	if f.table == nil {
		return refuse(acl.NoMap)
	}
	known := past{lease: f.lease, meters: &f.meters}
	if origin == In {
		return f.table.decide(In, k.peer, k.own, k.wish(In), &known, &f.now)
	}
	return f.table.decide(Out, k.own, k.peer, k.wish(Out), &known, &f.now)
}

// askAt asks about another moment, or about a flow that has begun.
func (f *Filter) askAt(k *key, origin Direction, fl *flow, m *Moment) decision {
	if f.table == nil {
		return refuse(acl.NoMap)
	}
	src, dst := k.own, k.peer
	if origin == In {
		src, dst = dst, src
	}
	known := f.past(fl)
	return f.table.decide(origin, src, dst, k.wish(origin), &known, m)
}

// revoke takes a flow's right away, once.
func (f *Filter) revoke(fl *flow, dec decision) {
	if fl.state == revoked {
		return
	}
	f.recordEnd(fl, dec)
	f.lose(fl)
	fl.enter(revoked, f.now.Boot)
	f.revoked++
}

// cross judges a SYN against the direction of a flow that has the same
// addresses and ports. It begins a flow of its own: were it taken for an answer,
// whoever answers could open connections as long as the flow is remembered.
func (f *Filter) cross(d Direction, p *packet.Packet, k *hashed, n int32) (decision, int32) {
	dec := f.ask(&k.key, d)
	if !dec.permits() {
		return dec, noFlow
	}
	f.finish(n, endReplaced)
	return f.admit(d, p, k, dec, 0)
}

// begin judges a packet that belongs to no flow in the table.
func (f *Filter) begin(d Direction, p *packet.Packet, k *hashed) (decision, int32) {
	if p.Shape == packet.Answer {
		// Without the question it is not kept: else the next question of the
		// other side would pass as part of it.
		return f.unasked(d, &k.key), noFlow
	}
	if p.Proto == acl.TCP && !begins(p) {
		return f.takeUp(d, p, k)
	}
	dec := f.ask(&k.key, d)
	if !dec.permits() {
		return dec, noFlow
	}
	return f.admit(d, p, k, dec, 0)
}

// unasked judges an answer to nothing, as a protocol without ports.
func (f *Filter) unasked(d Direction, k *key) decision {
	return f.ask(&key{k.own, k.peer, portsWord(k.proto(), 0, 0) | oneWayICMP}, d)
}

// admit puts a permitted flow into the table, and gives its number.
func (f *Filter) admit(origin Direction, p *packet.Packet, k *hashed, dec decision, how uint8) (decision, int32) {
	if dec = f.afford(origin, &k.key, p.Len, dec); !dec.permits() {
		return dec, noFlow
	}
	account := f.accountOf[dec.ends.payer(origin).holder]
	if !f.room(account) {
		dec.reason = acl.TableFull
		return dec, noFlow
	}
	fl, n := f.flows.add(k)
	if fl == nil {
		dec.reason = acl.TableFull
		return dec, noFlow
	}
	f.link(n, account)
	fl.origin, fl.fast = origin, how
	f.seat(fl, n, &dec.ends)
	f.grant(fl, dec)
	f.start(fl, dec)
	s := opening
	if p.Flags&(packet.FIN|packet.RST) != 0 {
		s = closing
	}
	fl.enter(s, f.now.Boot)
	d := Out
	if p.Src != k.own { // a guessed flow may begin against the packet
		d = In
	}
	fl.packets[d], fl.bytes[d] = 1, uint64(p.Len)
	if d == Out {
		f.stir(fl, p)
	}
	return dec, n
}

// finish forgets flow n.
func (f *Filter) finish(n int32, how endKind) {
	fl := f.flows.at(n)
	if fl.state == revoked {
		f.revoked--
	} else {
		f.recordEnd(fl, refuse(fl.endBy(how)))
	}
	f.unmeter(fl)
	f.unlink(n)
	f.flows.remove(n)
}
