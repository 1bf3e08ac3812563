package integration

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/integration/lab"
)

// download is a TCP stream whose every byte is known: a machine asks another
// for it, and compares.
type download struct {
	right atomic.Int64
	end   chan struct{}
	err   error // valid once end is closed
}

// startDownload streams from an address of one host to another host until the
// test ends.
func startDownload(t *testing.T, from *lab.Host, at netip.AddrPort, to *lab.Host) *download {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	seed := rand.Uint64()
	t.Logf("the stream's seed is %d", seed)
	l := from.Listen(at)
	client, err := to.Dial(ctx, "tcp", at)
	if err != nil {
		t.Fatalf("a download from %s: %v", at, err)
	}
	server, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	d := &download{end: make(chan struct{})}
	served := make(chan struct{})
	go func() { defer close(served); serveBytes(ctx, server, seed) }()
	go func() { defer close(d.end); d.err = d.compare(client, seed) }()
	t.Cleanup(func() { cancel(); client.Close(); server.Close(); <-served; <-d.end })
	return d
}

func serveBytes(ctx context.Context, to net.Conn, seed uint64) {
	r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16)})
	block := make([]byte, 1024)
	for pace(ctx) {
		r.Read(block)
		if _, err := to.Write(block); err != nil {
			return
		}
	}
}

func (d *download) compare(from net.Conn, seed uint64) error {
	r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16)})
	got, want := make([]byte, 1024), make([]byte, 1024)
	for {
		n, err := from.Read(got)
		if err != nil {
			return err
		}
		r.Read(want[:n])
		if !bytes.Equal(got[:n], want[:n]) {
			return fmt.Errorf("after %d bytes others came than were sent", d.right.Load())
		}
		d.right.Add(int64(n))
	}
}

// goesOn waits until more right bytes came, and tells how long that took.
func (d *download) goesOn(t *testing.T, why string) time.Duration {
	t.Helper()
	began, before := time.Now(), d.right.Load()
	lab.Eventually(t, patience, why, func() (bool, string) {
		select {
		case <-d.end:
			t.Fatalf("%s: the stream ended: %v", why, d.err)
		default:
		}
		return d.right.Load() > before+10_000, fmt.Sprintf("%d right bytes, no more come", before)
	})
	return time.Since(began)
}

// A daemon that ends, is killed, or loses its interface ends no connection: the
// stream goes on where it was, and nothing of it leaves in clear meanwhile.
func TestStreamsSurviveTheDaemonsRestart_F49_F52(t *testing.T) {
	s := raise(t, clinic, member{name: "ward", owner: "nina@hospital.example"}, member{name: "ehr", owner: "tag:ehr"})
	if s == nil {
		return
	}
	at := s.at("ehr", 443)
	s.answered("ward", at[0].Addr())
	s.answered("ward", at[1].Addr())
	streams := []*download{
		startDownload(t, s.Host("ehr"), at[0], s.Host("ward")),
		startDownload(t, s.Host("ehr"), at[1], s.Host("ward")),
	}
	mesh := []netip.Prefix{netip.MustParsePrefix("100.64.0.0/10"), netip.PrefixFrom(at[1].Addr(), 48).Masked()}
	clear := s.Host("ehr").Capture("eth0", lab.Touching(mesh...))
	// A session that one end alone has lost is noticed by WireGuard after 15
	// seconds at the earliest: a node that begins anew has to speak first.
	const speaks = 12 * time.Second
	goOn := func(t *testing.T, why string) {
		t.Helper()
		for _, d := range streams {
			took := d.goesOn(t, why)
			t.Logf("%s: took %s", why, took.Round(time.Millisecond))
			if took > speaks {
				t.Errorf("%s: the stream stood for %s, want less than %s", why, took, speaks)
			}
		}
	}
	goOn(t, "the stream flows")
	for _, name := range []string{"ward", "ehr"} {
		t.Run(name+" stops and starts", func(t *testing.T) {
			if err := s.nodes[name].Process.Stop(patience); err != nil {
				t.Errorf("SIGTERM: %v", err)
			}
			s.nodes[name].Start()
			goOn(t, "after SIGTERM and a start")
		})
		t.Run(name+" is killed", func(t *testing.T) {
			s.nodes[name].Process.Kill()
			s.nodes[name].Start()
			goOn(t, "after SIGKILL and a start")
		})
		t.Run(name+" loses its interface", func(t *testing.T) {
			s.Host(name).MustRun("ip", "link", "del", tun)
			goOn(t, "without the interface that was there")
			s.settle()
		})
		t.Run(name+" loses its routes", func(t *testing.T) {
			s.Host(name).MustRun("sh", "-c", "ip route flush table all proto static; ip -6 route flush table all proto static; ip rule del pref 5270; ip -6 rule del pref 5270; ip addr flush dev "+tun)
			goOn(t, "after somebody flushed rules, routes and addresses")
		})
	}
	if packets, err := clear.Stop(); err != nil || len(packets) > 0 {
		t.Errorf("%d packets with mesh addresses left in clear (%v)", len(packets), err)
	}
}
