package stun

import (
	"crypto/rand"
	mathrand "math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"github.com/cordonmesh/cordon/node/internal/path/pace"
)

// Config is what a Machine may be given. The zero Config is what ships; tests
// that want the same run twice set both.
type Config struct {
	// NewID makes transaction ids; nil: random ones.
	NewID func() ID
	// Jitter gives a time of 0 to less than d; nil: a random one.
	Jitter func(d time.Duration) time.Duration
}

// Machine asks servers. Each method that takes the time may leave actions to be
// done, which Take gives.
type Machine struct {
	newID    func() ID
	jitter   func(time.Duration) time.Duration
	wanted   bool
	families [2]family // IPv4, IPv6
	sends    pace.Bucket
	actions  []Action
}

// New makes a Machine that knows no server.
func New(c Config) *Machine {
	if c.NewID == nil {
		c.NewID = func() (id ID) { rand.Read(id[:]); return id }
	}
	if c.Jitter == nil {
		c.Jitter = func(d time.Duration) time.Duration { return time.Duration(mathrand.Int64N(int64(d))) }
	}
	return &Machine{newID: c.NewID, jitter: c.Jitter}
}

// SetServers takes the whole list of servers, most trusted first. Of each family
// 8 addresses are asked, the first of every server before the second of any.
// If one is new, all are asked at once.
func (m *Machine) SetServers(now time.Time, servers []Server) {
	for i, list := range split(servers) {
		f := &m.families[i]
		if f.setTargets(list) {
			m.round(now, f)
		} else if len(list) == 0 {
			m.plan(now, f)
		}
		m.settle(f)
	}
}

// split gives the addresses of each family, each once.
func split(servers []Server) (lists [2][]*target) {
	seen := map[netip.AddrPort]bool{}
	for n, more := 0, true; more; n++ {
		more = false
		for _, s := range servers {
			if n >= len(s.Addrs) {
				continue
			}
			more = true
			a := netip.AddrPortFrom(s.Addrs[n].Addr().Unmap(), s.Addrs[n].Port())
			i := familyOf(a)
			if usable(a.Addr()) && a.Port() != 0 && !seen[a] && len(lists[i]) < maxTargets {
				seen[a] = true
				lists[i] = append(lists[i], &target{server: s.Name, addr: a})
			}
		}
	}
	return lists
}

func familyOf(a netip.AddrPort) int {
	if a.Addr().Is4() {
		return 0
	}
	return 1
}

// NetworkChanged says that this machine's addresses, routes or the socket's port
// changed; local are the addresses of the socket now. All servers are asked at
// once. A family without a local address is not asked.
func (m *Machine) NetworkChanged(now time.Time, local []netip.AddrPort) {
	var lists [2][]netip.AddrPort
	for _, a := range local {
		a = netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
		lists[familyOf(a)] = append(lists[familyOf(a)], a)
	}
	for i := range m.families {
		f := &m.families[i]
		slices.SortFunc(lists[i], netip.AddrPort.Compare)
		if !slices.Equal(f.local, lists[i]) {
			f.local = lists[i]
			f.forget()
		}
		m.round(now, f)
		m.settle(f)
	}
}

// SetWanted says whether somebody wants mappings kept open: a peer is awake.
// When that begins, and the last answer is old, servers are asked at once.
func (m *Machine) SetWanted(now time.Time, wanted bool) {
	if m.wanted == wanted {
		return
	}
	m.wanted = wanted
	for i := range m.families {
		f := &m.families[i]
		switch {
		case !wanted, f.busy():
		case now.Sub(f.last()) > freshFor:
			m.ask(now, f)
		}
		m.plan(now, f)
	}
}

// Ask asks every server now, for a person who waits for the answer.
func (m *Machine) Ask(now time.Time) {
	for i := range m.families {
		m.round(now, &m.families[i])
	}
}

// Receive takes a datagram and tells whether it was an answer to us: from whom
// was asked, to a transaction that is open. If not, nothing has changed.
func (m *Machine) Receive(now time.Time, from netip.AddrPort, datagram []byte) bool {
	from = netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
	f := &m.families[familyOf(from)]
	at := slices.IndexFunc(f.targets, func(t *target) bool { return t.open && t.addr == from })
	if at < 0 {
		return false
	}
	id, mapped, ok := parse(datagram)
	t := f.targets[at]
	if !ok || id != t.id || familyOf(mapped) != familyOf(from) {
		return false
	}
	if t.answer(now, mapped, f.round) {
		// The NAT has another mapping for us than before: what others saw is old.
		t.round = f.round + 1
		m.round(now, f)
	}
	m.settle(f)
	return true
}

// Tick does what is due at now.
func (m *Machine) Tick(now time.Time) {
	for i := range m.families {
		f := &m.families[i]
		if !f.next.IsZero() && !f.next.After(now) {
			m.ask(now, f)
		}
		for _, t := range f.targets {
			m.try(now, f, t)
		}
		m.settle(f)
	}
}

// Next is when Tick has something to do; zero if never.
func (m *Machine) Next() (next time.Time) {
	earlier := func(at time.Time) {
		if !at.IsZero() && (next.IsZero() || at.Before(next)) {
			next = at
		}
	}
	for i := range m.families {
		earlier(m.families[i].next)
		for _, t := range m.families[i].targets {
			if t.open {
				earlier(t.next)
			}
		}
	}
	return next
}

// Take gives the actions since the last call, in order.
func (m *Machine) Take() []Action {
	out := m.actions
	m.actions = nil
	return out
}

// Report says what is known now.
func (m *Machine) Report() Report {
	return Report{V4: m.families[0].report(), V6: m.families[1].report()}
}

// round asks every server of a family that has not answered in it already.
func (m *Machine) round(now time.Time, f *family) {
	f.round++
	f.began = now
	for _, t := range f.targets {
		if len(f.local) > 0 && t.round != f.round {
			t.begin(now, m.newID())
		}
	}
	m.plan(now, f)
	for _, t := range f.targets {
		m.try(now, f, t)
	}
}

// ask keeps the mapping open by asking one server, or all of them if there is
// none that answered, or a round is due.
func (m *Machine) ask(now time.Time, f *family) {
	t := f.best()
	if t == nil || now.Sub(f.began) >= roundEvery {
		m.round(now, f)
		return
	}
	t.begin(now, m.newID())
	m.plan(now, f)
	m.try(now, f, t)
}

// plan says when to ask again.
func (m *Machine) plan(now time.Time, f *family) {
	every := idleEvery
	switch {
	case len(f.targets) == 0 || len(f.local) == 0:
		f.next = time.Time{}
		return
	case m.wanted && f.kind == Blocked:
		every = blockedEvery
	case m.wanted:
		every = keepEvery
	}
	f.next = now.Add(every + m.jitter(every/4))
}

// try sends the next try of a transaction, or ends it, if that is due.
func (m *Machine) try(now time.Time, f *family, t *target) {
	if !t.open || t.next.After(now) {
		return
	}
	if t.tries == maxTries {
		t.giveUp()
		return
	}
	ok, at := m.sends.Take(now, sendRate())
	if !ok {
		t.next = at
		return
	}
	t.tried(now)
	m.actions = append(m.actions, Action{Do: Send, To: t.addr, Datagram: request(t.id)})
	if t.tries == suspectTries && t.round == f.round {
		// It answered in this round, and does not any more.
		m.round(now, f)
	}
}

// settle tells the verdict anew.
func (m *Machine) settle(f *family) {
	if f.settle() {
		m.actions = append(m.actions, Action{Do: Changed})
	}
}
