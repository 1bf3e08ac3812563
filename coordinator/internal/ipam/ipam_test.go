package ipam_test

import (
	"encoding/json"
	"errors"
	"net/netip"
	"testing"

	"pgregory.net/rapid"

	"github.com/cordonmesh/cordon/coordinator/internal/ipam"
)

func pool(t testing.TB, prefix string) ipam.Pool {
	t.Helper()
	p, err := ipam.New(netip.MustParsePrefix(prefix))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// drain takes all that is left, up to most.
func drain(t testing.TB, p ipam.Pool, most int) (out []netip.Addr) {
	t.Helper()
	for len(out) < most {
		a, next, err := p.Take()
		if errors.Is(err, ipam.ErrExhausted) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		out, p = append(out, a), next
	}
	return out
}

func TestTake(t *testing.T) {
	for _, c := range []struct {
		prefix      string
		first, last string
		count       int
	}{
		{"10.0.0.0/30", "10.0.0.1", "10.0.0.2", 2},
		{"10.0.0.0/24", "10.0.0.1", "10.0.0.254", 254},
		{"100.100.100.96/29", "100.100.100.97", "100.100.100.102", 5}, // without .100
		{"100.115.91.0/24", "100.115.91.1", "100.115.91.254", 254},
		{"100.115.88.0/21", "100.115.88.1", "100.115.95.254", 2046 - 512},
		{"100.115.93.0/24", "", "", 0},
		{"fd00::/120", "fd00::1", "fd00::ff", 255}, // IPv6 has no broadcast
	} {
		all := drain(t, pool(t, c.prefix), 5000)
		if len(all) != c.count {
			t.Errorf("%s gives %d addresses, want %d", c.prefix, len(all), c.count)
			continue
		}
		if c.count > 0 && (all[0].String() != c.first || all[len(all)-1].String() != c.last) {
			t.Errorf("%s gives %v to %v, want %s to %s", c.prefix, all[0], all[len(all)-1], c.first, c.last)
		}
	}
}

func TestNeverTwiceAndNeverReserved(t *testing.T) {
	reserved := []netip.Prefix{netip.MustParsePrefix("100.100.100.100/32"), netip.MustParsePrefix("100.115.92.0/23")}
	rapid.Check(t, func(t *rapid.T) {
		bits := rapid.IntRange(18, 30).Draw(t, "bits")
		base := netip.AddrFrom4([4]byte{100, byte(rapid.SampledFrom([]int{64, 100, 115, 127}).Draw(t, "b")),
			byte(rapid.SampledFrom([]int{0, 90, 92, 100}).Draw(t, "c")), byte(rapid.IntRange(0, 255).Draw(t, "d"))})
		prefix := netip.PrefixFrom(base, bits).Masked()
		p, err := ipam.New(prefix)
		if err != nil {
			t.Fatal(err)
		}
		seen := map[netip.Addr]bool{}
		for range 300 {
			if rapid.IntRange(0, 9).Draw(t, "step") == 0 {
				p = p.Skip(uint32(rapid.IntRange(0, 1<<20).Draw(t, "skip")))
			}
			a, next, err := p.Take()
			if err != nil {
				return
			}
			p = next
			if seen[a] || !prefix.Contains(a) || a == prefix.Addr() || reserved[0].Contains(a) || reserved[1].Contains(a) {
				t.Fatalf("%v gives %v", prefix, a)
			}
			seen[a] = true
		}
	})
}

func TestExhaustedStaysExhausted(t *testing.T) {
	p := pool(t, "10.0.0.0/30")
	for range 2 {
		_, p, _ = p.Take()
	}
	for range 3 {
		var err error
		if _, p, err = p.Take(); !errors.Is(err, ipam.ErrExhausted) {
			t.Fatalf("a full pool gives %v", err)
		}
		p = p.Skip(10)
	}
	if _, _, err := (ipam.Pool{}).Take(); !errors.Is(err, ipam.ErrExhausted) {
		t.Fatalf("the zero pool gives %v", err)
	}
}

func TestSkipGivesUpLittle(t *testing.T) {
	p := pool(t, "10.0.0.0/24")
	before := len(drain(t, p, 300))
	after := len(drain(t, p.Skip(4096), 300))
	if after == before || after < before*15/16-1 {
		t.Errorf("a skip leaves %d of %d addresses", after, before)
	}
	six := pool(t, "fd00::/48").Skip(4096)
	if a, _, err := six.Take(); err != nil || a != netip.MustParseAddr("fd00::1001") {
		t.Errorf("after a skip of 4096 comes %v, %v", a, err)
	}
}

func TestNewRefuses(t *testing.T) {
	for _, prefix := range []string{"10.0.0.1/24", "10.0.0.0/31", "10.0.0.0/7", "0.0.0.0/0", "fd00::/16", "fd00::/127", "::ffff:10.0.0.0/120"} {
		if _, err := ipam.New(netip.MustParsePrefix(prefix)); !errors.Is(err, ipam.ErrRange) {
			t.Errorf("%s gives %v, want ErrRange", prefix, err)
		}
	}
	if _, err := ipam.New(netip.Prefix{}); !errors.Is(err, ipam.ErrRange) {
		t.Error("the zero prefix is a range")
	}
}

func TestRandomULA(t *testing.T) {
	a, b := ipam.RandomULA(), ipam.RandomULA()
	if a == b || a.Bits() != 48 || !netip.MustParsePrefix("fd00::/8").Contains(a.Addr()) {
		t.Errorf("two random ranges are %v and %v", a, b)
	}
	if _, err := ipam.New(a); err != nil {
		t.Error(err)
	}
}

func TestPoolKeepsItsMarkInJSON(t *testing.T) {
	_, p, err := pool(t, "10.0.0.0/30").Take()
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // with an address left, and without
		b, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		var back ipam.Pool
		if err := json.Unmarshal(b, &back); err != nil || back != p {
			t.Errorf("%s comes back as %+v, %v", b, back, err)
		}
		_, p, _ = p.Take()
	}
}

func BenchmarkTake(b *testing.B) {
	p := pool(b, "100.64.0.0/10")
	start := p
	for b.Loop() {
		var err error
		if _, p, err = p.Take(); err != nil {
			p = start
		}
	}
}
