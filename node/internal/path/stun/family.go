package stun

import (
	"net/netip"
	"slices"
	"time"
)

// family is one address family's servers and what they say.
type family struct {
	local   []netip.AddrPort // of our socket; empty: nobody is asked
	targets []*target
	round   int       // number of the latest round
	began   time.Time // when it began
	next    time.Time // when to ask again; zero: never

	// The verdict.
	kind                Kind
	presumed, preserves bool
	mapped              []Mapped
	basis               []Mapped // what kind was told from
}

// setTargets takes the servers' addresses of this family, and tells whether one
// of them is new. What is known of the others stays.
func (f *family) setTargets(list []*target) (fresh bool) {
	for i, t := range list {
		at := slices.IndexFunc(f.targets, func(old *target) bool { return old.addr == t.addr })
		if at < 0 {
			fresh = true
			continue
		}
		list[i] = f.targets[at]
		list[i].server = t.server
	}
	f.targets = list
	return fresh
}

// busy tells whether an answer may still come.
func (f *family) busy() bool {
	return slices.ContainsFunc(f.targets, func(t *target) bool { return t.open })
}

// best is the fastest server of those that answered in this round, or nil.
func (f *family) best() (best *target) {
	for _, t := range f.targets {
		if t.round == f.round && (best == nil || t.rtt < best.rtt) {
			best = t
		}
	}
	return best
}

// last is when a server last answered in this round.
func (f *family) last() (at time.Time) {
	for _, t := range f.targets {
		if t.round == f.round && t.at.After(at) {
			at = t.at
		}
	}
	return at
}

// forget drops what was known of a network that we have left.
func (f *family) forget() {
	for _, t := range f.targets {
		*t = target{server: t.server, addr: t.addr}
	}
	f.kind, f.presumed, f.preserves, f.mapped, f.basis = Unknown, false, false, nil, nil
}

// settle tells the verdict from the answers of this round, and whether it is
// another than before.
func (f *family) settle() (changed bool) {
	seen, mapped := f.seen()
	busy := f.busy()
	kind, presumed := judge(f.local, seen)
	switch {
	case len(f.targets) == 0 || len(f.local) == 0:
		kind, presumed, mapped = Unknown, false, nil
	case len(seen) == 0 && !busy:
		kind = Blocked
	case len(seen) == 0:
		kind, presumed, mapped = f.kind, f.presumed, f.mapped
	case busy && f.kind > Blocked:
		// Those still asked may say more: what was known holds until then.
		kind, presumed = f.kind, f.presumed
	case kind == Unknown && f.kind > NoNAT && slices.ContainsFunc(f.basis, func(m Mapped) bool { return m.Addr == mapped[0].Addr }):
		// One server is left, and sees us where it did: the kind is as it was.
		kind, presumed = f.kind, true
	default:
		f.basis = mapped
	}
	preserves := kind >= NoNAT && f.preserved(mapped)
	changed = kind != f.kind || presumed != f.presumed || preserves != f.preserves || !slices.EqualFunc(mapped, f.mapped, sameAddr)
	f.kind, f.presumed, f.preserves, f.mapped = kind, presumed, preserves, mapped
	return changed
}

// seen gives the answers of this round, and the addresses in them.
func (f *family) seen() (seen []sight, mapped []Mapped) {
	for _, t := range f.targets {
		if t.round != f.round {
			continue
		}
		seen = append(seen, sight{t.addr, t.mapped})
		at := slices.IndexFunc(mapped, func(m Mapped) bool { return m.Addr == t.mapped })
		switch {
		case at < 0:
			mapped = append(mapped, Mapped{t.mapped, t.at})
		case mapped[at].At.Before(t.at):
			mapped[at].At = t.at
		}
	}
	slices.SortStableFunc(mapped, func(a, b Mapped) int {
		return int(reachOf(b.Addr, f.local)) - int(reachOf(a.Addr, f.local))
	})
	return seen, mapped
}

// preserved tells whether all outermost addresses have a port of the socket.
func (f *family) preserved(mapped []Mapped) bool {
	for _, m := range mapped {
		if reachOf(m.Addr, f.local) < reachOf(mapped[0].Addr, f.local) {
			break
		}
		if !slices.ContainsFunc(f.local, func(l netip.AddrPort) bool { return l.Port() == m.Addr.Port() }) {
			return false
		}
	}
	return len(mapped) > 0
}

func sameAddr(a, b Mapped) bool { return a.Addr == b.Addr }

func (f *family) report() Family {
	out := Family{Kind: f.kind, Presumed: f.presumed, PreservesPort: f.preserves, Mapped: slices.Clone(f.mapped)}
	for _, t := range f.targets {
		out.Servers = append(out.Servers, Asked{t.server, t.addr, t.mapped, t.at, t.rtt, t.failed})
	}
	return out
}
