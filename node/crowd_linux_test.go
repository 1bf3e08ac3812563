package node_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/node/internal/control/controltest"
	"github.com/cordonmesh/cordon/node/local"
)

const (
	crowdSize   = 10_000
	crowdActive = 50
	// Most that the daemon may take (docs/ARCHITECTURE.md, "What a peer costs").
	crowdMegabytes = 60
	crowdCPU       = 1.0 // percent of one processor, at rest
	crowdRest      = 30 * time.Second
	crowdPause     = 10 * time.Second
)

// BenchmarkDaemonInACrowd tells what the daemon takes whose map names ten thousand
// peers, fifty of which it speaks with: the program itself, rootless, and fifty
// real nodes in this process. The others have addresses where nobody answers.
func BenchmarkDaemonInACrowd(b *testing.B) {
	c := controltest.OnLoopback(b)
	d := startDaemon(b, c)
	for b.Loop() {
		d.sample("alone", "MB/alone")
		active := d.fill()
		d.sample("with a map of ten thousand", "MB/map")
		d.speak(active)
		time.Sleep(12 * time.Second) // WireGuard's last keepalives, and the collector
		percent := d.busy(func() { time.Sleep(crowdRest) })
		megabytes := d.memory()
		b.ReportMetric(d.busy(func() { d.speakNowAndThen(active) }), "%CPU/asked")
		b.ReportMetric(megabytes, "MB/active")
		b.ReportMetric(percent, "%CPU")
		b.ReportMetric(0, "ns/op")
		if megabytes > crowdMegabytes || percent > crowdCPU {
			b.Errorf("the daemon takes %.1f MB and %.2f %% of a processor, want at most %d and %.0f", megabytes, percent, crowdMegabytes, crowdCPU)
		}
	}
}

// daemon is the program in a process of its own.
type daemon struct {
	*machine
	b       *testing.B
	process *os.Process
	stream  *controltest.Stream
	door    net.Listener // the service behind its port 443
}

func startDaemon(b *testing.B, c *controltest.Coordinator) *daemon {
	dir, err := os.MkdirTemp("", "cordon-crowd-")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { os.RemoveAll(dir) })
	program := filepath.Join(dir, "cordon")
	build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", program, "github.com/cordonmesh/cordon/cmd/cordon")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		b.Fatalf("building the daemon: %v\n%s", err, out)
	}
	door, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { door.Close() })
	socket := filepath.Join(dir, "s")
	run := exec.Command(program, "--socket", socket, "daemon", "--userspace", "--state", filepath.Join(dir, "state"), "--expose", "443="+door.Addr().String(), "--log-level", "error")
	run.Stderr = os.Stderr
	if err := run.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = run.Process.Signal(os.Interrupt)
		_ = run.Wait()
	})
	m := &machine{Client: local.NewClient(socket), t: b, c: c, name: "server", addr: "100.64.0.1"}
	b.Cleanup(func() { m.Client.Close() })
	m.eventually("the daemon answers", func() bool { _, err := m.Status(b.Context()); return err == nil })
	d := &daemon{machine: m, b: b, process: run.Process, door: door}
	stream, up := m.join()
	d.stream = stream
	go d.serve()
	m.give(stream, m.full(3, nil))
	if err := <-up; err != nil {
		b.Fatal(err)
	}
	return d
}

// busy is how much of a processor the daemon takes meanwhile, in percent.
func (d *daemon) busy(meanwhile func()) float64 {
	used, at := d.cpu(), time.Now()
	meanwhile()
	return 100 * (d.cpu() - used).Seconds() / time.Since(at).Seconds()
}

// fill gives the daemon its map, and gives those of its peers that are real.
func (d *daemon) fill() (active []*machine) {
	d.b.Helper()
	var peers []wire.PeerRecord
	for i := range crowdActive {
		m := newMachine(d.b, d.c, fmt.Sprintf("active-%d", i), fmt.Sprintf("100.64.1.%d", 1+i))
		stream, up := m.join()
		m.give(stream, m.full(5, []uint16{443}, d.record()))
		if err := <-up; err != nil {
			d.b.Fatal(err)
		}
		m.whereabouts(stream, d.machine)
		peers, active = append(peers, m.record()), append(active, m)
	}
	hints := &wire.Hints{}
	for i := range crowdSize - crowdActive {
		p, _ := controltest.Stranger(fmt.Sprintf("ward-%d", i), fmt.Sprintf("100.65.%d.%d", i/250, 1+i%250))
		v6 := netip.MustParseAddr(fmt.Sprintf("fd00:c0de::%x", 1+i))
		p.Addresses = append(p.Addresses, v6)
		p.Prefixes = append(p.Prefixes, acl.PrefixClass{Prefix: netip.PrefixFrom(v6, 128), Class: 1})
		peers = append(peers, p)
		at := fmt.Sprintf("127.1.%d.%d:9", i/250, 1+i%250)
		hints.Peers = append(hints.Peers, &wire.PeerEndpoints{Node: p.ID, Endpoints: []string{at}})
	}
	next := d.full(5, []uint16{443}, peers...)
	next.Self.Ranges = append(next.Self.Ranges, netip.MustParsePrefix("fd00:c0de::/48"))
	d.give(d.stream, next)
	d.stream.Send(&wire.FollowResponse{Message: &wire.FollowResponse_Hints{Hints: hints}})
	d.eventually("the map is enforced", func() bool { return len(d.status().Peers) == crowdSize })
	time.Sleep(5 * time.Second) // the program gives back what it needed to take it
	return active
}

// serve answers all who come through the daemon's door, until it closes.
func (d *daemon) serve() {
	for {
		c, err := d.door.Accept()
		if err != nil {
			return
		}
		_, _ = io.WriteString(c, "hello")
		c.Close()
	}
}

// speakNowAndThen has each active node fetch something three times, crowdPause apart.
func (d *daemon) speakNowAndThen(active []*machine) {
	d.b.Helper()
	for range 3 {
		next := time.Now().Add(crowdPause)
		d.speak(active)
		time.Sleep(time.Until(next))
	}
}

// speak has every active node fetch something from the daemon.
func (d *daemon) speak(active []*machine) {
	d.b.Helper()
	for _, m := range active {
		ctx, cancel := context.WithTimeout(d.b.Context(), 20*time.Second)
		c, err := m.node.Dial(ctx, "tcp", "100.64.0.1:443")
		if err != nil {
			d.b.Fatal(m.name, err)
		}
		if got, err := io.ReadAll(c); string(got) != "hello" || err != nil {
			d.b.Fatal(m.name, string(got), err)
		}
		c.Close()
		cancel()
	}
}

func (d *daemon) sample(what, unit string) {
	now := d.memory()
	d.b.Logf("%s: %.1f MB", what, now)
	d.b.ReportMetric(now, unit)
}

// memory is the resident set, in megabytes.
func (d *daemon) memory() float64 {
	fields := strings.Fields(d.proc("statm"))
	pages, err := strconv.Atoi(fields[1])
	if err != nil {
		d.b.Fatal(err)
	}
	return float64(pages*os.Getpagesize()) / 1e6
}

// cpu is the time that the process has computed so far.
func (d *daemon) cpu() time.Duration {
	// The name in parentheses may have blanks in it (proc(5)).
	_, rest, _ := strings.Cut(d.proc("stat"), ") ")
	fields := strings.Fields(rest)
	user, errUser := strconv.Atoi(fields[11])
	system, errSystem := strconv.Atoi(fields[12])
	if errUser != nil || errSystem != nil {
		d.b.Fatal(errUser, errSystem)
	}
	const tick = 10 * time.Millisecond // of Linux, on every platform that Go runs on
	return time.Duration(user+system) * tick
}

func (d *daemon) proc(file string) string {
	d.b.Helper()
	runtime.GC() // so that this process does not disturb
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(d.process.Pid), file))
	if err != nil {
		d.b.Fatal(err)
	}
	return string(text)
}
