package osnet_test

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/cordonmesh/cordon/node/internal/osnet"
)

// A program speaks with its account's address without knowing, everybody else's with
// the machine's, also when that comes after the others.
func TestProgramsSpeakAsTheirAccount(t *testing.T) {
	if !rooted(t) {
		return
	}
	w := newWard(t)
	link, err := netlink.LinkByName("cordon0")
	must(t, err)
	for _, a := range []netip.Addr{self4, self6} {
		must(t, netlink.AddrDel(link, &netlink.Addr{IPNet: ipNet(host(a))}))
	}
	must(t, w.Reapply())
	for uid, want := range map[int][2]netip.Addr{ana: {anas4, anas6}, ben: {bens4, bens6}, visiting: {self4, self6}, 0: {self4, self6}} {
		for _, network := range []string{"tcp", "udp"} {
			for i, is4 := range []bool{true, false} {
				w.as(t, uid, func() error { return says(network, netip.Addr{}, is4, "good morning") })
				if got := w.heard(t); got.from != want[i] || got.words != "good morning" {
					t.Errorf("account %d is heard by %s as %+v, want %s", uid, network, got, want[i])
				}
			}
		}
	}
	if n := sysctl(t, "net/netfilter/nf_conntrack_count"); n != "0" {
		t.Errorf("connections are tracked: %s", n)
	}
}

// What others send with somebody's address is refused, and they hear it; not even
// root's own packets get through, made whole by hand.
func TestAddressOfASeatIsNobodyElses(t *testing.T) {
	if !rooted(t) {
		return
	}
	w := newWard(t)
	unban(t)
	for _, from := range []netip.Addr{anas4, anas6} {
		for _, uid := range []int{ben, visiting, 0} {
			w.as(t, uid, func() error {
				if err := says("udp", from, from.Is4(), "I am ana"); !errors.Is(err, syscall.EPERM) {
					t.Errorf("account %d sends from %s: %v, want that it is not permitted", uid, from, err)
				}
				return nil
			})
		}
		w.as(t, ben, func() error {
			d := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(from, 0)), Timeout: 100 * time.Millisecond}
			if c, err := d.Dial("tcp", netip.AddrPortFrom(peerOf(from), 443).String()); err == nil {
				c.Close()
				t.Errorf("ben connects from %s", from)
			}
			return nil
		})
	}
	w.as(t, 0, func() error {
		if err := forge(anas4); !errors.Is(err, syscall.EPERM) {
			t.Errorf("root forges: %v, want that it is not permitted", err)
		}
		return forge(self4)
	})
	if got := w.heard(t); got.from != self4 || got.words != "me" {
		t.Errorf("forged with the machine's own address comes %+v", got)
	}
	w.silent(t, "in ana's name")
	if got := counted(t, "by another account"); got < 9 {
		t.Errorf("counted %d refused packets, want 9 or more", got)
	}
}

// What a program has written before it closes a socket arrives, though the socket is
// no account's any more.
func TestClosedSocketSendsWhatItHas(t *testing.T) {
	if !rooted(t) {
		return
	}
	w := newWard(t)
	for _, is4 := range []bool{true, false} {
		words := strings.Repeat("x", 400_000) // more than the peer takes before it reads
		w.asleep.Lock()
		w.as(t, ana, func() error {
			c, err := dial("tcp", netip.Addr{}, is4)
			if err != nil {
				return err
			}
			if err := c.(*net.TCPConn).SetWriteBuffer(1 << 20); err != nil {
				return err
			}
			_, err = io.WriteString(c, words)
			return errors.Join(err, c.Close())
		})
		w.asleep.Unlock()
		if got := w.heard(t); len(got.words) != len(words) || got.from.Is4() != is4 {
			t.Errorf("%d bytes came from %s, want %d", len(got.words), got.from, len(words))
		}
	}
}

// With a seat its addresses go; programs hear at once that their connections are over,
// and sockets that go on all the same reach nobody, also when the address is another's.
func TestSeatTakenAway(t *testing.T) {
	if !rooted(t) {
		return
	}
	w := newWard(t)
	var talks, letters []net.Conn
	w.as(t, ana, func() error {
		for _, is4 := range []bool{true, false} {
			talk, errTalk := dial("tcp", netip.Addr{}, is4)
			letter, errLetter := dial("udp", netip.Addr{}, is4)
			if err := errors.Join(errTalk, errLetter); err != nil {
				return err
			}
			talks, letters = append(talks, talk), append(letters, letter)
			t.Cleanup(func() { talk.Close(); letter.Close() })
		}
		return nil
	})
	next := shared()
	next.Seats = next.Seats[1:]
	must(t, w.Apply(next))
	if now := nft(t, "list", "ruleset"); strings.Contains(now, anas4.String()) || strings.Contains(now, anas6.String()) || !strings.Contains(now, bens4.String()) {
		t.Errorf("the wall is still:\n%s", now)
	}
	for _, talk := range talks {
		must(t, talk.SetReadDeadline(time.Now().Add(patience)))
		if _, err := talk.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNABORTED) {
			t.Errorf("a connection from %s ends with %v", talk.LocalAddr(), err)
		}
	}
	stillNobody := func(when string) {
		t.Helper()
		for _, letter := range letters {
			if _, err := io.WriteString(letter, "still ana"); err == nil {
				t.Errorf("%s: a socket still sends from %s", when, letter.LocalAddr())
			}
		}
		w.silent(t, when)
	}
	stillNobody("without her seat")
	w.as(t, ana, func() error { return says("udp", netip.Addr{}, true, "a visitor") })
	if got := w.heard(t); got.from != self4 {
		t.Errorf("without a seat ana speaks as %s", got.from)
	}
	next.Seats = []osnet.Seat{{UID: ben, Addresses: []netip.Addr{anas4, anas6}}}
	must(t, w.Apply(next))
	stillNobody("in her address, which is ben's")
	w.as(t, ben, func() error { return says("tcp", netip.Addr{}, false, "ben") })
	if got := w.heard(t); got.from != anas6 || got.words != "ben" {
		t.Errorf("ben is heard as %+v", got)
	}
}

// When an address goes over from one account to another without a time between, the
// former's connections are over at once, and nobody else's.
func TestConnectionsEndWithTheAccount(t *testing.T) {
	if !rooted(t) {
		return
	}
	w := newWard(t)
	talks := make(map[netip.Addr]net.Conn)
	for uid, from := range map[int]netip.Addr{ana: anas4, ben: bens4} {
		w.as(t, uid, func() error {
			talk, err := dial("tcp", netip.Addr{}, true)
			if err == nil {
				talks[from] = talk
				t.Cleanup(func() { talk.Close() })
			}
			return err
		})
	}
	next := shared()
	next.Seats[0].UID = visiting
	must(t, w.Apply(next))
	must(t, talks[anas4].SetReadDeadline(time.Now().Add(patience)))
	if _, err := talks[anas4].Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNABORTED) {
		t.Errorf("ana's connection ends with %v", err)
	}
	w.as(t, ben, func() error {
		_, err := io.WriteString(talks[bens4], "still ben")
		return errors.Join(err, talks[bens4].Close())
	})
	for got := w.heard(t); got.words != "still ben"; got = w.heard(t) {
		if got.words != "" {
			t.Errorf("came %+v", got)
		}
	}
}
