package stun_test

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/node/internal/path/stun"
	"github.com/cordonmesh/cordon/node/internal/path/stun/stuntest"
)

// world is a machine behind a NAT, and servers, in virtual time.
type world struct {
	t   *testing.T
	now time.Time
	m   *stun.Machine

	// outside gives the source that a server sees; the zero value: the packet
	// is lost.
	outside func(server netip.AddrPort) netip.AddrPort
	delay   time.Duration // there and back
	further map[netip.AddrPort]time.Duration
	way     []flying
	sent    []sending
	changed int
	ids     uint64
}

type flying struct {
	at   time.Time
	from netip.AddrPort
	b    []byte
}

type sending struct {
	at time.Time
	to netip.AddrPort
	b  []byte
}

var (
	one     = netip.MustParseAddrPort("198.51.100.1:3478")
	oneB    = netip.MustParseAddrPort("198.51.100.1:443")
	two     = netip.MustParseAddrPort("198.51.100.2:3478")
	three   = netip.MustParseAddrPort("198.51.100.3:3478")
	one6    = netip.MustParseAddrPort("[2001:db8:1::1]:3478")
	two6    = netip.MustParseAddrPort("[2001:db8:1::2]:3478")
	near2   = netip.MustParseAddrPort("10.0.0.6:3478")
	near    = netip.MustParseAddrPort("10.0.0.5:3478")
	home    = netip.MustParseAddrPort("192.168.1.20:41641")
	home6   = netip.MustParseAddrPort("[2001:db8:9::20]:41641")
	public  = netip.MustParseAddrPort("203.0.113.7:41641")
	public2 = netip.MustParseAddrPort("203.0.113.7:50000")
)

// newWorld is a machine on a home network behind an endpoint-independent NAT.
func newWorld(t *testing.T) *world {
	w := &world{t: t, now: time.Unix(1_700_000_000, 0), delay: 20 * time.Millisecond}
	w.outside = func(netip.AddrPort) netip.AddrPort { return public }
	w.m = stun.New(stun.Config{
		NewID: func() (id stun.ID) {
			w.ids++
			binary.BigEndian.PutUint64(id[:], w.ids)
			return id
		},
		Jitter: func(d time.Duration) time.Duration { return d / 2 },
	})
	return w
}

// start gives the machine its network and servers of one address each.
func (w *world) start(servers ...netip.AddrPort) {
	w.m.NetworkChanged(w.now, []netip.AddrPort{home, home6})
	var list []stun.Server
	for i, a := range servers {
		list = append(list, stun.Server{Name: fmt.Sprint("s", i), Addrs: []netip.AddrPort{a}})
	}
	w.m.SetServers(w.now, list)
	w.take()
}

func (w *world) take() {
	for _, a := range w.m.Take() {
		switch a.Do {
		case stun.Send:
			w.sent = append(w.sent, sending{w.now, a.To, a.Datagram})
			if src := w.outside(a.To); src.IsValid() {
				if b, ok := stuntest.AppendAnswer(nil, a.Datagram, src); ok {
					w.way = append(w.way, flying{w.now.Add(w.delay + w.further[a.To]), a.To, b})
				}
			}
		case stun.Changed:
			w.changed++
		default:
			w.t.Fatalf("action %v", a)
		}
	}
}

// run lets time pass.
func (w *world) run(d time.Duration) {
	for end := w.now.Add(d); ; {
		next := end
		for _, p := range w.way {
			if p.at.Before(next) {
				next = p.at
			}
		}
		if at := w.m.Next(); !at.IsZero() && at.Before(next) {
			if at.Before(w.now) {
				w.t.Fatalf("Next is %v ago, and Tick does not do it", w.now.Sub(at))
			}
			next = at
		}
		w.now = next
		w.way = slices.DeleteFunc(w.way, func(p flying) bool {
			if p.at.After(w.now) {
				return false
			}
			w.m.Receive(w.now, p.from, p.b)
			return true
		})
		w.m.Tick(w.now)
		w.take()
		if !w.now.Before(end) {
			return
		}
	}
}

func (w *world) asked(since time.Time, to netip.AddrPort) (n int) {
	for _, s := range w.sent {
		if s.to == to && s.at.After(since) {
			n++
		}
	}
	return n
}

func (w *world) mapped() (out []netip.AddrPort) {
	for _, m := range w.m.Report().V4.Mapped {
		out = append(out, m.Addr)
	}
	return out
}

func (w *world) want(kind stun.Kind, mapped ...netip.AddrPort) {
	w.t.Helper()
	r := w.m.Report().V4
	if r.Kind != kind || !slices.Equal(w.mapped(), mapped) {
		w.t.Fatalf("%v: %v at %v; want %v at %v", w.now.Unix()-1_700_000_000, r.Kind, w.mapped(), kind, mapped)
	}
}
