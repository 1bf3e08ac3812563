package relay

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func addresses(text string) (out []netip.Addr) {
	for _, a := range strings.Fields(text) {
		out = append(out, netip.MustParseAddr(a))
	}
	return out
}

// F33: a name server that is down cuts nobody off from a relay that was there.
func TestNamesOutliveTheirServer(t *testing.T) {
	var n names
	find := func(host, known, says string) string {
		got, err := n.find(t.Context(), host, addresses(known), func(context.Context, string) ([]netip.Addr, error) {
			if says == "" {
				return nil, errors.New("server misbehaving")
			}
			return addresses(says), nil
		})
		if err != nil {
			return err.Error()
		}
		return strings.Join(texts(got), " ")
	}
	for i, tt := range []struct{ host, known, says, want string }{
		{"r", "", "", "no address of r is known: server misbehaving"},
		{"r", "192.0.2.9", "", "192.0.2.9"},
		{"192.0.2.7", "192.0.2.9", "192.0.2.8", "192.0.2.7"},
		{"r", "192.0.2.9", "2001:db8::1 2001:db8::2 192.0.2.1", "2001:db8::1 192.0.2.1 2001:db8::2 192.0.2.9"},
		{"r", "192.0.2.9", "", "2001:db8::1 2001:db8::2 192.0.2.1 192.0.2.9"},
	} {
		if got := find(tt.host, tt.known, tt.says); got != tt.want {
			t.Errorf("%d: %s, want %s", i, got, tt.want)
		}
	}
	n.answered(&net.TCPAddr{IP: net.ParseIP("192.0.2.1"), Port: 443})
	if got := find("r", "", ""); got != "192.0.2.1 2001:db8::1 2001:db8::2" {
		t.Error("what answered is not first:", got)
	}
	if got := find("r", "", "198.51.100.1"); got != "198.51.100.1 192.0.2.1 2001:db8::1 2001:db8::2" {
		t.Error("behind a captive portal:", got)
	}
	if got := n.known(); !slices.Equal(got, addresses("192.0.2.1 198.51.100.1")) {
		t.Error(got)
	}
	if got := find("r", strings.Repeat("192.0.2.1 ", 3), strings.Join(texts(many(40)), " ")); len(strings.Fields(got)) != maxAddresses {
		t.Error("a name server that says too much:", got)
	}
}

func many(n int) (out []netip.Addr) {
	a := netip.MustParseAddr("203.0.113.1")
	for range n {
		out, a = append(out, a), a.Next()
	}
	return out
}

func texts(in []netip.Addr) (out []string) {
	for _, a := range in {
		out = append(out, a.String())
	}
	return out
}

func TestRaceDoesNotWaitForTheDead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dial := func(ctx context.Context, _, address string) (net.Conn, error) {
			switch {
			case strings.HasPrefix(address, "192.0.2.1:"): // swallows
				<-ctx.Done()
				return nil, ctx.Err()
			case strings.HasPrefix(address, "192.0.2.2:"): // refuses
				return nil, errors.New("connection refused")
			}
			time.Sleep(10 * time.Millisecond)
			a, b := net.Pipe()
			context.AfterFunc(t.Context(), func() { b.Close() })
			return a, nil
		}
		began := time.Now()
		conn, err := race(t.Context(), dial, addresses("192.0.2.1 192.0.2.2 192.0.2.3 192.0.2.4"), "443")
		if err != nil || time.Since(began) != stagger+10*time.Millisecond {
			t.Fatal(err, time.Since(began))
		}
		conn.Close()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := race(ctx, dial, addresses("192.0.2.2 192.0.2.1"), "443"); err == nil || err.Error() != "connection refused; context deadline exceeded" {
			t.Fatal(err)
		}
		if took := time.Since(began); took < time.Minute {
			t.Fatal(took)
		}
	})
}
