//go:build linux

package lab_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/integration/lab"
)

// ride sends numbered datagrams from one host to another by a link, and gives
// what arrived in order, and how long each was on its way.
func ride(t *testing.T, from *lab.Host, to *net.UDPConn, at netip.AddrPort, sizes ...int) (numbers []int, took []time.Duration) {
	t.Helper()
	conn, err := from.Dial(t.Context(), "udp", at)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	began := time.Now()
	for i, size := range sizes {
		b := make([]byte, size)
		binary.BigEndian.PutUint32(b, uint32(i))
		binary.BigEndian.PutUint64(b[4:], uint64(time.Since(began)))
		if _, err := conn.Write(b); err != nil {
			t.Fatal(err)
		}
	}
	buf := make([]byte, 65536)
	for {
		to.SetReadDeadline(time.Now().Add(2 * time.Second))
		if _, err := to.Read(buf); err != nil {
			return numbers, took
		}
		numbers = append(numbers, int(binary.BigEndian.Uint32(buf)))
		took = append(took, time.Since(began)-time.Duration(binary.BigEndian.Uint64(buf[4:])))
	}
}

func repeated(size, n int) []int { return slices.Repeat([]int{size}, n) }

// One seed loses the same packets in every run; another seed, others; and the
// share is about what was asked for.
func TestLossIsDrawnFromTheSeed(t *testing.T) {
	if !lab.Require(t) {
		return
	}
	run := func(seed uint64, a func(*lab.Host) netip.Addr) []int {
		l := lab.Up(t, lab.Segment("a", "b"))
		at := netip.AddrPortFrom(a(l.Host("b")), 5000)
		// Few may wait for ARP: neighbours know each other before the burst.
		lab.Eventually(t, 20*time.Second, "neighbours meet", func() (bool, string) {
			n, err := l.Host("a").Ping(t.Context(), at.Addr(), 1)
			return n == 1, fmt.Sprint(err)
		})
		to := l.Host("b").ListenUDP(at)
		link := l.Host("b").Impair("eth0", lab.Impairment{Seed: seed, Loss: 0.2})
		got, _ := ride(t, l.Host("a"), to, at, repeated(100, 300)...)
		if passed, lost := link.Counts(); lost < 30 || lost > 90 || passed < len(got) {
			t.Errorf("%d passed and %d were lost: want 240 and 60, about", passed, lost)
		}
		return got
	}
	first, again, other := run(7, (*lab.Host).Addr4), run(7, (*lab.Host).Addr4), run(8, (*lab.Host).Addr4)
	if !slices.Equal(first, again) {
		t.Error("two runs of one seed lose different packets")
	}
	if slices.Equal(first, other) {
		t.Error("two seeds lose the same packets")
	}
	if !slices.IsSorted(first) {
		t.Error("without jitter, packets overtake each other")
	}
	if six := run(7, (*lab.Host).Addr6); !slices.Equal(six, first) {
		t.Error("IPv6 fares otherwise than IPv4")
	}
}

func TestDelayAndJitterOnTheKernelsPath(t *testing.T) {
	if !lab.Require(t) {
		return
	}
	l := lab.Up(t, lab.Segment("a", "b"))
	at := netip.AddrPortFrom(l.Host("b").Addr4(), 5000)
	to := l.Host("b").ListenUDP(at)
	l.Host("b").Impair("eth0", lab.Impairment{Seed: 3, Delay: 60 * time.Millisecond, Jitter: 100 * time.Millisecond})
	numbers, took := ride(t, l.Host("a"), to, at, repeated(100, 200)...)
	if len(numbers) != 200 || slices.IsSorted(numbers) {
		t.Errorf("%d of 200 arrive, in order: %v", len(numbers), slices.IsSorted(numbers))
	}
	if least := slices.Min(took); least < 60*time.Millisecond {
		t.Errorf("a packet came after %s: want 60 ms at least", least)
	}
	if most := slices.Max(took); most < 120*time.Millisecond {
		t.Errorf("the last packet came after %s: some must be late", most)
	}
}

// A longer packet vanishes, and the sender is not told: the black hole of a path
// whose ICMP somebody filters.
func TestNarrowLinkIsABlackHole(t *testing.T) {
	if !lab.Require(t) {
		return
	}
	l := lab.Up(t, lab.Segment("a", "b"))
	for _, a := range []netip.Addr{l.Host("b").Addr4(), l.Host("b").Addr6()} {
		at := netip.AddrPortFrom(a, 5000)
		to := l.Host("b").ListenUDP(at)
		if a.Is4() {
			l.Host("b").Impair("eth0", lab.Impairment{MTU: 1300})
		}
		head := 28
		if a.Is6() {
			head = 48
		}
		errors := l.Host("a").Capture("eth0", func(p []byte) bool { return p[0]>>4 == 4 && p[9] == 1 || p[0]>>4 == 6 && p[6] == 58 && p[40] == 2 })
		got, _ := ride(t, l.Host("a"), to, at, 100, 1300-head, 1301-head, 1400, 100)
		if !slices.Equal(got, []int{0, 1, 4}) {
			t.Errorf("to %s: datagrams %v arrive, want those of up to 1,300 bytes", a, got)
		}
		if told := captured(t, errors); len(told) > 0 {
			t.Errorf("the sender is told: % x", told[0])
		}
	}
}

// What a GSO socket sends in one piece is lost and delayed packet by packet.
func TestLinkSeesPacketsNotLargeSends(t *testing.T) {
	if !lab.Require(t) {
		return
	}
	l := lab.Up(t, lab.Segment("a", "b"))
	b := l.Host("b")
	link := b.Impair("eth0", lab.Impairment{Seed: 1, Delay: time.Millisecond, MTU: 1500})
	at := netip.AddrPortFrom(b.Addr4(), 443)
	sink := b.ServeSink(at)
	conn, err := l.Host("a").Dial(t.Context(), "tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	const size = 1 << 20
	if _, err := conn.Write(bytes.Repeat([]byte("x"), size)); err != nil {
		t.Fatal(err)
	}
	lab.Eventually(t, 20*time.Second, "a megabyte arrives in packets", func() (bool, string) {
		passed, lost := link.Counts()
		return sink.Received() == size && passed >= size/1460 && lost == 0, "too few"
	})
}
