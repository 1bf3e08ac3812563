package integration

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/integration/lab"
	"github.com/cordonmesh/cordon/node/local"
)

// forgeries are what somebody without a key can send to a node's port, made of
// what it overheard: the same again, cut, mangled, and noise in the shape of
// each message of WireGuard and of STUN.
func forgeries(heard [][]byte, rng *rand.Rand) [][]byte {
	noise := func(n int, start ...byte) []byte {
		b := slices.Clone(start)
		for len(b) < n {
			b = append(b, byte(rng.Uint32()))
		}
		return b
	}
	out := [][]byte{
		{}, {1}, noise(148, 1, 0, 0, 0), noise(92, 2, 0, 0, 0), noise(64, 3, 0, 0, 0), noise(128, 4, 0, 0, 0), noise(32, 4, 0, 0, 0),
		noise(20, 0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42), noise(44, 0, 1, 0, 24, 0x21, 0x12, 0xa4, 0x42), noise(1200),
	}
	for _, b := range heard {
		mangled := slices.Clone(b)
		mangled[rng.IntN(len(b))] ^= 1 << rng.IntN(8)
		out = append(out, b, b[:len(b)/2], b[:len(b)-1], mangled, append(slices.Clone(b), 0))
	}
	rng.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}

// payload is a captured datagram's own bytes, or nil if it is not UDP over IPv4
// of the ports.
func payload(packet []byte, port uint16) []byte {
	if len(packet) < 29 || packet[0] != 0x45 || packet[9] != 17 {
		return nil
	}
	src, dst := uint16(packet[20])<<8|uint16(packet[21]), uint16(packet[22])<<8|uint16(packet[23])
	if src != port && dst != port {
		return nil
	}
	return packet[28:]
}

// flood sends forgeries to a port, as an outsider and in a peer's name, about
// 4,000 a second, until it is ended. It gives how many, by then.
func (s *scene) flood(t *testing.T, heard [][]byte, peer, to netip.AddrPort) (end func() int64) {
	outsider := s.Host("outsider")
	own := netip.AddrPortFrom(outsider.Addr4(), 4000)
	var sent atomic.Int64
	ctx, cancel := context.WithCancel(t.Context())
	var work sync.WaitGroup
	work.Go(func() {
		rng := rand.New(rand.NewPCG(1, 2))
		for ctx.Err() == nil {
			began := time.Now()
			var batch []lab.IP
			for i, b := range forgeries(heard, rng) {
				from := []netip.AddrPort{own, peer, netip.AddrPortFrom(own.Addr().Next(), uint16(rng.Uint32()))}[i%3]
				batch = append(batch, lab.UDP(from, to, b))
			}
			outsider.Inject("eth0", to.Addr(), batch...)
			sent.Add(int64(len(batch)))
			time.Sleep(time.Until(began.Add(time.Duration(len(batch)) * time.Second / 4000)))
		}
	})
	return func() int64 { cancel(); work.Wait(); return sent.Load() }
}

// resident is the daemon's memory, in KiB.
func resident(t *testing.T, d *lab.Daemon) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", d.Process.Pid()))
	if err != nil {
		t.Fatal(err)
	}
	var kib int
	_, rest, _ := strings.Cut(string(text), "VmRSS:")
	if _, err := fmt.Sscan(rest, &kib); err != nil {
		t.Fatal(err)
	}
	return kib
}

// flooded is two nodes that speak directly, and an outsider who overheard their
// handshake.
type flooded struct {
	*scene
	to, peer  netip.AddrPort // of ehr, which is flooded, and of ward
	at        netip.AddrPort // of a service of ehr, in the mesh
	sink      *lab.Sink
	overheard *lab.Capture
}

func raiseFlooded(t *testing.T) *flooded {
	top := lab.Segment("hub", "ward", "ehr", "outsider")
	for i, m := range top.Machines { // one family, so that what is forged is of the path in use
		top.Machines[i].Links[0].Addresses = m.Links[0].Addresses[:1]
	}
	s := raiseOn(t, top, clinic, member{name: "ward", owner: "nina@hospital.example"}, member{name: "ehr", owner: "tag:ehr"})
	if s == nil {
		return nil
	}
	port := s.underlayPort(t, "ehr")
	to := netip.AddrPortFrom(s.Host("ehr").Addr4(), port)
	peer := netip.AddrPortFrom(s.Host("ward").Addr4(), s.underlayPort(t, "ward"))
	overheard := s.Host("ehr").Capture("eth0", func(p []byte) bool { return len(payload(p, port)) > 0 })
	at := s.at("ehr", 443)[0]
	sink := s.Host("ehr").ServeSink(netip.AddrPortFrom(netip.IPv4Unspecified(), 443))
	s.answered("ward", at.Addr())
	s.reached("ehr", "ward", local.PathDirect)
	// That handshake may have gone by the relay. One without it is overheard whole.
	s.Host("ward").Cut(s.Host("hub").Addr4())
	s.nodes["ward"].Process.Kill()
	s.nodes["ward"].Start()
	s.answered("ward", at.Addr())
	s.Host("ward").Cut()
	return &flooded{s, to, peer, at, sink, overheard}
}

// A32: whoever holds no key gets no answer larger than its question, moves no
// tunnel, fills no memory and slows no stream, whatever it sends.
func TestOutsiderFloodsInVain_A32(t *testing.T) {
	f := raiseFlooded(t)
	if f == nil {
		return
	}
	s, port, to, peer, at, sink := f.scene, f.to.Port(), f.to, f.peer, f.at, f.sink
	// Slow enough for a busy machine: what the flood takes from it is to be seen,
	// not what the flood's own sender takes from the processor.
	pump := s.Host("ward").StartPump(at, 10*time.Millisecond)
	rate := func() float64 {
		began, before := time.Now(), sink.Received()
		time.Sleep(1500 * time.Millisecond)
		return float64(sink.Received()-before) / time.Since(began).Seconds()
	}
	calm := rate()
	heard := s.heard(t, f.overheard, port)
	memory := resident(t, s.nodes["ehr"])

	answers := s.Host("outsider").Capture("eth0", lab.Touching(netip.PrefixFrom(to.Addr(), 32)))
	end := s.flood(t, heard, peer, to)
	under := max(rate(), rate())
	sent := end()
	calm = min(calm, rate())
	if sent < 2000 || under < 0.9*calm {
		t.Errorf("under %d forged datagrams the stream carries %.0f bytes a second, and %.0f without", sent, under, calm)
	}
	if grown := resident(t, s.nodes["ehr"]) - memory; grown > 32<<10 {
		t.Errorf("the daemon grew by %d KiB", grown)
	}
	back := s.answersOf(t, answers, to)
	if back > 50 {
		t.Errorf("an outsider is answered %d times", back)
	}
	t.Logf("%d forged datagrams, %d answers; %.0f bytes a second under the flood, %.0f without", sent, back, under, calm)
	if err := pump.Stop(); err != nil {
		t.Errorf("the stream ended: %v", err)
	}
	for name, want := range map[string]netip.AddrPort{"ward": to, "ehr": peer} {
		st, err := s.nodes[name].Status()
		if err != nil {
			t.Fatal(err)
		}
		p, _ := lab.FindPeer(st, map[string]string{"ward": "ehr", "ehr": "ward"}[name])
		if p.Path != local.PathDirect || p.Endpoint != want.String() {
			t.Errorf("%s's path is %s to %s, want direct to %s", name, p.Path, p.Endpoint, want)
		}
	}
}

// heard gives a few overheard datagrams of each kind.
func (s *scene) heard(t *testing.T, c *lab.Capture, port uint16) [][]byte {
	t.Helper()
	packets, err := c.Stop()
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[byte]int{}
	var out [][]byte
	for _, p := range packets {
		if b := payload(p, port); len(b) < 1400 && kinds[b[0]] < 5 {
			kinds[b[0]]++
			out = append(out, bytes.Clone(b))
		}
	}
	if kinds[1] == 0 || kinds[2] == 0 || kinds[4] == 0 {
		t.Fatalf("no whole handshake was overheard: %v", kinds)
	}
	return out
}

// answersOf counts what came back to the outsider by UDP. Somebody without a key
// may be told a cookie: 64 bytes for an initiation of 148. And who is the first to
// replay a peer's probe may be that peer in a new place: it is answered, and asked
// for a proof, each in no more bytes than it sent.
func (s *scene) answersOf(t *testing.T, c *lab.Capture, from netip.AddrPort) int {
	t.Helper()
	packets, err := c.Stop()
	if err != nil {
		t.Error(err)
	}
	count := 0
	for _, p := range packets {
		if sourceOf(p) != from.Addr() {
			continue
		}
		b := payload(p, from.Port())
		if b == nil {
			continue
		}
		count++
		cookie, probe := len(b) == 64 && b[0] == 3, len(b) <= 84 && b[0] <= 1 && bytes.Equal(b[4:8], []byte{0x21, 0x12, 0xa4, 0x42})
		if !cookie && !probe {
			t.Errorf("an outsider is answered: % x", b)
		}
	}
	return count
}

func (s *scene) underlayPort(t *testing.T, node string) uint16 {
	t.Helper()
	st, err := s.nodes[node].Status()
	if err != nil || st.Port == 0 {
		t.Fatalf("%s has no port: %v", node, err)
	}
	return st.Port
}
