package filter_test

import (
	"net/netip"
	"time"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/acl/filter"
	"github.com/cordonmesh/cordon/acl/packet"
)

// model is the slow and obvious filter. It asks the rules at every packet, by
// how the packet's flow began, and keeps of a flow by which rule it passes only to
// know what may drain; it looks for prefixes, rules and facts from the
// first to the last, and has neither caches nor limits.
type model struct {
	config *filter.Config // nil: no map
	lease  time.Time
	loads  int
	now    time.Time
	first  time.Time // the first moment with a map
	stands filter.Stands
	flows  map[modelKey]*modelFlow
	pieces map[modelPiece]*modelSeen
}

// modelKey names a flow from this node's side.
type modelKey struct {
	own, peer         netip.Addr
	ownPort, peerPort uint16
	proto             acl.Protocol
	kind              string // "ports", "asked by us", "asked by the peer", "one way in", "one way out", "other"
	icmp              uint8
}

type modelFlow struct {
	key     modelKey
	origin  filter.Direction
	guessed bool
	revoked bool
	half    bool // packets from one side only
	closing bool
	passed  time.Time // when the last packet passed, or the right was lost
	right   modelRight
	whose   string // session, if it is a seat's
}

type modelPiece struct {
	src, dst netip.Addr
	id       uint32
	proto    acl.Protocol
	d        filter.Direction
}

type modelSeen struct {
	flow  *modelFlow
	end   int
	until time.Time

	disputed bool
}

type modelVerdict struct {
	reason acl.Reason
	rules  []acl.RuleID // any of these may be named: the first unless the flow was permitted before
}

func (v modelVerdict) allow() bool {
	return v.reason == acl.Permitted || v.reason == acl.Established || v.reason == acl.Monitored
}

func no(why acl.Reason) modelVerdict { return modelVerdict{reason: why} }

// whose finds who has the address, by its longest prefix: -1 this node, -2
// nobody, -3 nobody in the mesh, -4 nobody ever, else the peer's index.
func (m *model) whose(a netip.Addr) (who int, class acl.Class) {
	for _, s := range []string{"127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "fe80::/10", "ff00::/8"} {
		if netip.MustParsePrefix(s).Contains(a) {
			return -4, 0
		}
	}
	who, best := -2, -1
	try := func(w int, p netip.Prefix, c acl.Class) {
		if p.Contains(a) && p.Bits() > best {
			who, class, best = w, c, p.Bits()
		}
	}
	for _, p := range modelPrefixes(&m.config.Self) {
		try(-1, p.Prefix, p.Class)
	}
	for i := range m.config.Peers {
		for _, p := range modelPrefixes(&m.config.Peers[i]) {
			try(i, p.Prefix, p.Class)
		}
	}
	for _, p := range m.config.Mesh {
		try(-3, p, 0)
	}
	return who, class
}

// ask asks the rules about a flow that begins in a direction.
func (m *model) ask(d filter.Direction, k modelKey) modelVerdict {
	own, _ := m.whose(k.own)
	peer, _ := m.whose(k.peer)
	switch {
	case own != -1:
		return no(acl.NotOurs)
	case peer == -3 && d == filter.Out:
		return no(acl.UnknownPeer)
	case peer < 0:
		return no(acl.NotOurs)
	case m.called(d, k):
		return no(acl.SeatCalled)
	}
	if v := m.forbidden(d, k); len(v.rules) > 0 {
		return v
	}
	var holding, monitoring, failing []acl.RuleID
	why := acl.NoRule
	from := m.facts(d, k)
	for _, r := range m.about(d, k) {
		switch reason := m.holds(r, from); {
		case reason == acl.Permitted && r.Monitor:
			monitoring = append(monitoring, r.ID)
		case reason == acl.Permitted:
			holding = append(holding, r.ID)
		default:
			if failing = append(failing, r.ID); len(failing) == 1 {
				why = reason
			}
		}
	}
	if len(holding) > 0 {
		return modelVerdict{acl.Permitted, append(holding, monitoring...)}
	}
	if len(monitoring) > 0 {
		return modelVerdict{acl.Monitored, monitoring}
	}
	return modelVerdict{why, failing[:min(1, len(failing))]}
}

func (m *model) opens(r *acl.Rule, k modelKey, port uint16) bool {
	echo := (k.kind == "asked by us" || k.kind == "asked by the peer") && (k.icmp == 8 || k.icmp == 128)
	for _, s := range r.Open {
		whole := s.Protocol == k.proto && s.First == 0 && s.Last == 65535
		ports := k.kind == "ports" && s.Protocol == k.proto && s.First <= port && port <= s.Last
		if echo || whole || ports {
			return true
		}
	}
	return false
}

func (m *model) holds(r *acl.Rule, from []acl.FactEnd) acl.Reason {
	for _, need := range r.Needs {
		had, ended := false, false
		for _, f := range from {
			had = had || f.Fact == need
			ended = ended || f.Fact == need && !m.now.Before(f.Until)
		}
		if !had || ended {
			return acl.FactEnded
		}
	}
	if m.now.Before(r.NotBefore) || !r.NotAfter.IsZero() && !m.now.Before(r.NotAfter) {
		return acl.OutsideTime
	}
	if r.Hold > 0 && (m.lease.IsZero() || !m.now.Before(m.lease.Add(r.Hold))) {
		return acl.HoldEnded
	}
	return acl.Permitted
}

// key names the flow of a packet.
func (m *model) key(d filter.Direction, f *packet.Flow) modelKey {
	k := modelKey{own: f.Src.IP(), peer: f.Dst.IP(), ownPort: f.SrcPort, peerPort: f.DstPort, proto: f.Proto, kind: "ports"}
	if d == filter.In {
		k.own, k.peer, k.ownPort, k.peerPort = k.peer, k.own, k.peerPort, k.ownPort
	}
	switch {
	case f.Shape == packet.Query && d == filter.Out, f.Shape == packet.Answer && d == filter.In:
		k.kind, k.icmp = "asked by us", f.Type
	case f.Shape == packet.Query, f.Shape == packet.Answer:
		k.kind, k.icmp = "asked by the peer", f.Type
	case f.Shape == packet.Opaque && (f.Proto == acl.ICMP && f.Src.Is4() || f.Proto == acl.ICMPv6 && !f.Src.Is4()):
		k.kind, k.icmp = "one way "+d.String(), f.Type
	case f.Shape == packet.Opaque:
		k.kind = "other"
	}
	return k
}

// living gives the flow of a key, unless it was silent for too long, or is of a session
// that has the address no more.
func (m *model) living(k modelKey) *modelFlow {
	fl := m.heard(k)
	if fl != nil && m.handed(fl) {
		delete(m.flows, k)
		return nil
	}
	return fl
}

func (m *model) heard(k modelKey) *modelFlow {
	fl := m.flows[k]
	if fl == nil || !m.now.Before(fl.passed.Add(m.patience(fl))) {
		delete(m.flows, k)
		return nil
	}
	return fl
}

func (m *model) patience(fl *modelFlow) time.Duration {
	short := (fl.half || fl.closing) && !fl.revoked
	switch {
	case fl.key.proto == acl.TCP && short:
		return time.Minute
	case fl.key.proto == acl.TCP:
		return 26 * time.Hour
	case fl.key.proto == acl.ICMP && fl.key.own.Is4(), fl.key.proto == acl.ICMPv6 && fl.key.own.Is6():
		return 30 * time.Second
	case fl.half && !fl.revoked:
		return 30 * time.Second
	}
	return 3 * time.Minute
}

func (m *model) revoke(fl *modelFlow) {
	if !fl.revoked {
		fl.revoked, fl.passed = true, m.now
	}
}

func (m *model) judge(d filter.Direction, p *packet.Packet) modelVerdict {
	m.awake()
	switch {
	case m.config == nil:
		return no(acl.NoMap)
	case p.Shape == packet.Invalid:
		return no(acl.Malformed)
	case p.Shape == packet.Error:
		return m.error(d, p)
	case p.Shape == packet.Later:
		return m.later(d, p)
	}
	v, fl := m.whole(d, p)
	if p.Frag == packet.FirstFragment && v.allow() && fl != nil {
		m.beginning(d, p, fl)
	}
	return v
}

func piece(d filter.Direction, p *packet.Packet) modelPiece {
	return modelPiece{p.Src.IP(), p.Dst.IP(), p.FragID, p.FragProto, d}
}

// beginning notes the first fragment of a datagram, of which there is no rest if two
// flows begin it.
func (m *model) beginning(d filter.Direction, p *packet.Packet, fl *modelFlow) {
	before := m.pieces[piece(d, p)]
	if before != nil && m.now.Before(before.until) && (before.disputed || before.flow != fl) {
		before.disputed = true
		return
	}
	m.pieces[piece(d, p)] = &modelSeen{flow: fl, end: p.FragEnd, until: m.now.Add(15 * time.Second)}
}

func (m *model) whole(d filter.Direction, p *packet.Packet) (modelVerdict, *modelFlow) {
	k := m.key(d, &p.Flow)
	syn := p.Proto == acl.TCP && p.Flags&packet.SYN != 0 && p.Flags&packet.ACK == 0
	fl := m.living(k)
	if fl != nil && (fl.origin == d || !syn) {
		return m.within(d, p, fl), fl
	}
	if p.Shape == packet.Answer {
		unasked := k
		unasked.kind = "one way " + d.String()
		return m.ask(d, unasked), nil
	}
	if p.Proto != acl.TCP || syn {
		return m.begin(d, d, p, k)
	}
	forth := m.ask(d, k)
	back := m.ask(d^1, k).allow() && (forth.allow() || m.stood(k, d^1, forth))
	origin := d
	if back && (!forth.allow() || p.SrcPort < p.DstPort) {
		origin ^= 1
	}
	v, fl := m.begin(origin, d, p, k)
	if fl != nil {
		fl.guessed = true
	}
	return v, fl
}

// stood tells whether a connection is taken for one that began in a direction, since
// it was there before, though one in the other would be refused.
func (m *model) stood(k modelKey, begun filter.Direction, refused modelVerdict) bool {
	stands, known := m.stands(netip.AddrPortFrom(k.own, k.ownPort), netip.AddrPortFrom(k.peer, k.peerPort), begun)
	if known {
		return stands
	}
	return refused.reason != acl.Forbidden && m.now.Before(m.first.Add(3*time.Minute))
}

// awake notes the first moment with a map.
func (m *model) awake() {
	if m.first.IsZero() && m.config != nil {
		m.first = m.now
	}
}

// begin begins a flow if it may.
func (m *model) begin(origin, d filter.Direction, p *packet.Packet, k modelKey) (modelVerdict, *modelFlow) {
	v := m.ask(origin, k)
	if !v.allow() {
		return v, nil
	}
	v.rules = v.rules[:1]
	fl := &modelFlow{key: k, origin: origin, half: true, passed: m.now, whose: m.session(k)}
	fl.closing = p.Proto == acl.TCP && p.Flags&(packet.FIN|packet.RST) != 0
	m.grant(fl, v)
	m.flows[k] = fl
	return v, fl
}

func (m *model) within(d filter.Direction, p *packet.Packet, fl *modelFlow) modelVerdict {
	syn := p.Proto == acl.TCP && p.Flags&packet.SYN != 0 && p.Flags&packet.ACK == 0
	fl.right.watched = fl.right.watched || syn && fl.right.draining
	v := m.again(fl)
	if !v.allow() {
		if peer, _ := m.whose(fl.key.peer); v.reason == acl.NotOurs && peer == -3 && d == filter.Out {
			v.reason = acl.UnknownPeer // whichever way the flow began, the packet is for nobody
		}
		return v
	}
	if syn && fl.right.draining {
		return m.ask(fl.origin, fl.key)
	}
	tcp := p.Proto == acl.TCP && p.Shape == packet.Ports
	switch {
	case tcp && p.Flags&(packet.FIN|packet.RST) != 0:
		fl.closing = true
	case tcp && p.Flags&packet.SYN != 0 && p.Flags&packet.ACK == 0:
		fl.half, fl.closing, fl.guessed = true, false, false
	case d != fl.origin:
		fl.half = false
	}
	fl.passed = m.now
	v.reason = acl.Established
	return v
}

func (m *model) error(d filter.Direction, p *packet.Packet) modelVerdict {
	q := &p.Quoted
	if q.Shape == packet.Invalid || q.Src != p.Dst {
		return no(acl.NoRule)
	}
	fl := m.living(m.key(d^1, q))
	if fl == nil {
		return no(acl.NoRule)
	}
	v := m.again(fl)
	if !v.allow() {
		return v
	}
	own, peer := p.Dst.IP(), p.Src.IP()
	if d == filter.Out {
		own, peer = peer, own
	}
	here, _ := m.whose(own)
	there, _ := m.whose(peer)
	with, _ := m.whose(fl.key.peer)
	switch {
	case here != -1:
		return no(acl.NotOurs)
	case there == -3 && d == filter.Out:
		return no(acl.UnknownPeer)
	case there < 0:
		return no(acl.NotOurs)
	case there != with, m.seat(peer) != m.seat(fl.key.peer), m.seat(own) != m.seat(fl.key.own):
		return no(acl.NoRule)
	}
	v.reason = acl.Established
	return v
}

func (m *model) later(d filter.Direction, p *packet.Packet) modelVerdict {
	seen := m.pieces[piece(d, p)]
	if seen == nil || !m.now.Before(seen.until) {
		return no(acl.NoFragment)
	}
	if seen.disputed || p.FragStart < seen.end {
		return no(acl.Malformed)
	}
	if m.living(seen.flow.key) != seen.flow {
		return no(acl.NoFragment)
	}
	return m.within(d, p, seen.flow)
}

// sweep forgets the silent and asks about the rest. It gives how many flows have a right.
func (m *model) sweep() int {
	m.awake()
	n := 0
	for k := range m.flows {
		if fl := m.heard(k); fl != nil && !fl.revoked && m.again(fl).allow() {
			n++
		}
	}
	return n
}
