// Package filter judges every packet between a node and the mesh, both ways,
// and remembers the flows that it permitted.
//
// What it keeps to, whatever it is given:
//
//   - Without a Table nothing passes. A packet passes because a rule permits it,
//     or the flow that it belongs to, and for no other reason.
//   - A new Table takes effect at the next packet: every flow is judged again by
//     the addresses, ports and direction with which it began, whichever way that
//     packet goes. So is a flow whose login, schedule or hold came to its end.
//     A flow that lost its right is remembered until it is idle, lest its next
//     packet pass as the beginning of another that the rules do permit.
//   - A flow of a seat is its session's. Once another session has the address, what
//     comes from there or goes there is judged as a flow that begins.
//   - An answer passes only within a flow; an ICMP error only if it quotes a
//     flow, and comes from the party that the flow is with.
//   - One peer can fill only its own share of the flow table.
//   - Judging allocates nothing, save memory for more flows than ever before.
//
// Connections outlive a restart of the daemon: a TCP segment that belongs to no known
// flow and does not begin one is taken for part of a connection that its sender may
// open, or of one that the other end may, if there is one. See takeUp. What drains is
// kept by whoever calls the filter. See DrainOn.
//
// The package sends nothing, and reads no clock. It trusts that a packet from
// the mesh bears a source address of the peer that sent it: WireGuard's allowed
// addresses see to that.
package filter

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"sync"
	"time"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/acl/packet"
)

// Options bound what a Filter may use. Each zero stands for its default.
type Options struct {
	MaxFlows        int // default 262,144, at 136 bytes each when in use
	MaxFlowsPerPeer int // default an eighth of MaxFlows
	Records         int // flow records kept for readers; default 4,096
	Refusals        int // refusals kept for status; default 256
	MaxMeters       int // persons and machines times rules with a limit that they use; default 65,536, at 100 bytes each when in use
	Answers         int // refusals answered in a second, each way; a tenth of them to one peer; default 100

	// Stands tells of the connections of this machine. nil: nothing is known of any.
	Stands Stands

	// Seed makes a run repeatable, for tests. Zero takes one from the system.
	Seed uint64
}

// Validate finds values that cannot be meant.
func (o Options) Validate() error {
	const most = 1 << 24
	for name, n := range map[string]int{
		"MaxFlows": o.MaxFlows, "MaxFlowsPerPeer": o.MaxFlowsPerPeer,
		"Records": o.Records, "Refusals": o.Refusals, "MaxMeters": o.MaxMeters, "Answers": o.Answers,
	} {
		if n < 0 || n > most {
			return fmt.Errorf("filter options: %s is %d; it must be 0 (default) to %d", name, n, most)
		}
	}
	return nil
}

func (o Options) defaults() Options {
	put := func(n *int, value int) {
		if *n == 0 {
			*n = value
		}
	}
	put(&o.MaxFlows, 1<<18)
	put(&o.MaxFlowsPerPeer, max(1, o.MaxFlows/8))
	put(&o.Records, 4096)
	put(&o.Refusals, 256)
	put(&o.MaxMeters, 1<<16)
	put(&o.Answers, 100)
	return o
}

// drainsTold is how many kinds of flows are told of that began to drain.
const drainsTold = 20

// Filter judges packets. Its methods may be called by several goroutines.
type Filter struct {
	loading sync.Mutex       // one Load at a time; guards ids
	ids     map[string]int32 // accounts by peer id
	perPeer int              // answers to one peer in a second; never changes
	stands  Stands           // never changes

	mu        sync.Mutex // guards what follows
	now       Moment
	clocks    Moment // when version was last raised, to see clocks jump
	began     int64  // time since boot of the first moment with a table; never: not yet
	table     *Table // nil: deny
	lease     int64
	version   uint32 // of table, lease apart; never 0
	last      [2]*flow
	flows     flows
	ledger    ledger
	accountOf []int32 // by holder in table
	free      []int32 // accounts without flows, of peers that are gone
	rests     [rests]int64
	fragments fragments
	counts    [2][reasons]uint64
	revoked   int // flows that are remembered without a right
	sitters   sitters
	records   ring
	refusals  refusals
	meters    meters
	excesses  excesses      // since Exceeded
	drains    endings       // that began since Drained
	lost      []packet.Flow // since the last Load, and Lost; has room for lostKept
	kept      []Drain       // to drain on when a table tells of their ends
	tried     uint32        // version by which kept was last looked at
	answers   [2]buckets
	told      []buckets // by account: refusals that the peer was told of
	asked     []bucket  // by account: questions whether a connection stands
	dice      uint64
}

// New makes a Filter that denies everything until Load. It fails if the options
// are impossible.
func New(o Options) (*Filter, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	o = o.defaults()
	f := &Filter{version: 1, lease: never, began: never, stands: o.Stands, sitters: newSitters(), ids: map[string]int32{}}
	s := secret(o.Seed)
	f.dice = s[4]
	f.flows = newFlows(s, o.MaxFlows)
	f.ledger.most = o.MaxFlowsPerPeer
	for r := range f.rests {
		f.rests[r] = rest(r).span()
	}
	none := new(flow)
	f.last = [2]*flow{none, none}
	f.fragments.seed = s
	f.records.init(o.Records)
	f.refusals.init(o.Refusals, s)
	f.drains = newEndings(drainsTold)
	f.lost = make([]packet.Flow, 0, lostKept)
	f.meters = meters{seed: s, max: o.MaxMeters}
	f.excesses.all = make([]Excess, 0, excessesTold)
	f.perPeer = max(1, o.Answers/peersShare)
	f.answers = [2]buckets{newBuckets(o.Answers), newBuckets(o.Answers)}
	return f, nil
}

func secret(from uint64) (s seed) {
	for i := range s {
		if from != 0 {
			from = fold(from^0x9e3779b97f4a7c15, 0xd6e8feb86659fd93+uint64(i))
			s[i] = from
			continue
		}
		var b [8]byte
		rand.Read(b[:]) // never fails (crypto/rand)
		s[i] = binary.LittleEndian.Uint64(b[:])
	}
	return s
}

// Load makes t what packets are judged by from now on; nil denies everything.
func (f *Filter) Load(t *Table) {
	f.loading.Lock()
	defer f.loading.Unlock()
	of, fresh, gone := f.settle(t)
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, i := range fresh {
		of[i] = f.openAccount()
		f.ids[t.holders[i].id] = of[i]
	}
	for _, id := range gone {
		f.closeAccount(id)
	}
	f.table, f.accountOf, f.lost = t, of, f.lost[:0]
	if t != nil {
		f.lease = max(f.lease, t.lease) // a table may have been compiled before the last Renew
		f.meters.heed(t.rules, f.now.Machine)
		f.sitters.seat(t)
	}
	f.raise()
}

// settle finds the accounts of a table's peers, those that have none yet, and
// the peers that are gone.
func (f *Filter) settle(t *Table) (of []int32, fresh []int, gone []string) {
	present := make(map[int32]bool)
	if t != nil {
		of = make([]int32, len(t.holders))
		for i := 1; i < len(of); i++ {
			account, ok := f.ids[t.holders[i].id]
			if !ok {
				fresh = append(fresh, i)
				continue
			}
			of[i] = account
			present[account] = true
		}
	}
	for id, account := range f.ids {
		if !present[account] {
			gone = append(gone, id)
		}
	}
	return of, fresh, gone
}

func (f *Filter) openAccount() int32 {
	if n := len(f.free); n > 0 {
		account := f.free[n-1]
		f.free = f.free[:n-1]
		return account
	}
	f.told = append(f.told, newBuckets(f.perPeer))
	f.asked = append(f.asked, newBucket(asksPerPeer))
	return f.ledger.open()
}

// closeAccount gives up the account of a peer that is gone. As long as it has
// flows, they must be paid for: a later Load looks again.
func (f *Filter) closeAccount(id string) {
	if account := f.ids[id]; f.ledger.accounts[account].count == 0 {
		f.free = append(f.free, account)
		delete(f.ids, id)
	}
}

// raise makes every flow be judged again at its next packet.
func (f *Filter) raise() {
	f.version++
	if f.version == 0 {
		f.version = 1
	}
	f.clocks = f.now
}

// Renew tells the filter of a lease: the policy time from which holds count. A
// flow that a hold ends looks again when it comes to that end.
func (f *Filter) Renew(lease time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lease = max(f.lease, nanos(lease))
}

// A Batch judges packets at one moment. It holds the filter's lock from Begin
// to End, so a batch is short: what one read or write of the interface brings.
type Batch struct {
	f *Filter
}

// Begin starts a batch. Its End must follow, in the same goroutine.
func (f *Filter) Begin(m Moment) Batch {
	f.mu.Lock()
	f.set(m)
	return Batch{f}
}

// Version is another one whenever a Load, or a clock that jumped, may have changed
// what a packet is judged by. It is never 0.
func (b Batch) Version() uint32 { return b.f.version }

// Holder gives the id of the peer that has an address; "" if no peer has it.
func (b Batch) Holder(a packet.Addr) string {
	if b.f.table == nil {
		return ""
	}
	if h := b.f.table.home(a).heldBy(); h > self {
		return b.f.table.holders[h].id
	}
	return ""
}

// End ends the batch.
func (b Batch) End() { b.f.mu.Unlock() }

// set moves the time on. Boot time that goes back is taken to stand still.
func (f *Filter) set(m Moment) {
	m.Boot = max(m.Boot, f.now.Boot)
	f.now = m
	if f.began == never && f.table != nil {
		f.began = m.Boot
	}
	if m.jumped(&f.clocks) {
		f.raise()
	}
	if len(f.kept) > 0 && f.table != nil && f.tried != f.version {
		f.drainAllOn()
	}
}

// In judges a packet from the mesh to this node. Its way to the flow's verdict stands
// in out again: one more call is 11 instructions on the 183 of an established packet.
func (b Batch) In(p *packet.Packet) acl.Verdict {
	if p.Shape != packet.Ports || p.Frag != packet.Whole {
		return b.f.judge(In, p)
	}
	k := hashed{key: key{p.Dst, p.Src, portsWord(p.Proto, p.DstPort, p.SrcPort)}}
	fl, absent := b.f.quick(In, &k, p)
	switch {
	case fl != nil:
		return acl.Verdict{Allow: true, Reason: acl.Established, Rule: b.f.table.rules[fl.rule].id}
	case absent:
		return b.f.first(In, p, &k)
	}
	return b.f.judge(In, p)
}

// Out judges a packet from this node to the mesh. Whom this node fronts does not
// speak by this machine: it has a tunnel.
func (b Batch) Out(p *packet.Packet) acl.Verdict {
	if t := b.f.table; t != nil && t.fronts && t.fronted(t.home(p.Src).heldBy()) {
		return b.f.counted(Out, p, refuse(acl.NotOurs))
	}
	return b.out(p)
}

func (b Batch) out(p *packet.Packet) acl.Verdict {
	if p.Shape != packet.Ports || p.Frag != packet.Whole {
		return b.f.judge(Out, p)
	}
	k := hashed{key: key{p.Src, p.Dst, portsWord(p.Proto, p.SrcPort, p.DstPort)}}
	fl, absent := b.f.quick(Out, &k, p)
	switch {
	case fl != nil:
		return acl.Verdict{Allow: true, Reason: acl.Established, Rule: b.f.table.rules[fl.rule].id}
	case absent:
		return b.f.first(Out, p, &k)
	}
	return b.f.judge(Out, p)
}

// quick lets a packet pass that belongs to an established flow and changes
// nothing about it. It gives nil for all others, which judge then looks at, and
// whether that is because there is no such flow: then the key has its hash.
//
// Packets come in runs: the flow of the packet before is tried first.
func (f *Filter) quick(d Direction, k *hashed, p *packet.Packet) (_ *flow, absent bool) {
	fl := f.last[d&1]
	if !fl.is(&k.key) {
		k.hash = f.flows.seed.hash(&k.key)
		if fl, _ = f.flows.find(k); fl == nil {
			return nil, true
		}
		f.last[d&1] = fl
	}
	now := f.now.Boot
	if fl.version != f.version || fl.fast&(1<<d) == 0 || now >= fl.end || now >= fl.idle ||
		p.Flags&(packet.SYN|packet.FIN|packet.RST) != 0 {
		return f.quickly(d, fl, p), false
	}
	fl.idle = now + f.rests[fl.rest&(rests-1)]
	fl.packets[d&1]++
	fl.bytes[d&1] += uint64(p.Len)
	f.counts[d&1][acl.Established]++
	if d == Out && (now >= f.sitters.stirs || f.sitters.turned(&fl.own)) {
		f.stir(fl, p)
	}
	return fl, false
}
