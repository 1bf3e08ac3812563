//go:build linux

package lab_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/integration/lab"
)

// ward is two hosts on networks of their own with a router between.
func ward() lab.Topology {
	return lab.Topology{
		Networks: []lab.Network{{Name: "ward"}, {Name: "core", MTU: 1400}},
		Machines: []lab.Machine{
			{Name: "nurse", Links: []lab.Link{{Network: "ward", Addresses: []string{"10.1.0.2/24", "fd01::2/64"}}},
				Routes: []lab.Route{{To: "default", Via: "10.1.0.1"}, {To: "default", Via: "fd01::1"}}},
			{Name: "router", Forward: true, Links: []lab.Link{
				{Network: "ward", Addresses: []string{"10.1.0.1/24", "fd01::1/64"}},
				{Network: "core", Addresses: []string{"10.2.0.1/24", "fd02::1/64"}}}},
			{Name: "records", Links: []lab.Link{{Network: "core", Addresses: []string{"10.2.0.2/24", "fd02::2/64"}}},
				Routes: []lab.Route{{To: "10.1.0.0/24", Via: "10.2.0.1"}, {To: "fd01::/64", Via: "fd02::1"}}},
		},
	}
}

func wantPings(t *testing.T, from *lab.Host, to netip.Addr, want bool) {
	t.Helper()
	got, err := from.Ping(t.Context(), to, 2)
	if (got > 0) != want {
		t.Errorf("%s to %s: %d of 2 answered, want some: %v (%v)", from.Name, to, got, want, err)
	}
}

func TestRoutedTopologyPings(t *testing.T) {
	if !lab.Require(t) {
		return
	}
	l := lab.Up(t, ward())
	nurse, records, router := l.Host("nurse"), l.Host("records"), l.Host("router")
	wantPings(t, nurse, records.Addr4(), true)
	wantPings(t, nurse, records.Addr6(), true)
	wantPings(t, records, nurse.Addr4(), true)
	router.NFT("table inet cut { chain f { type filter hook forward priority 0; policy drop; }; }")
	wantPings(t, nurse, records.Addr4(), false)
	wantPings(t, nurse, records.Addr6(), false)
	wantPings(t, nurse, router.Addr4(), true)
	nurse.SetLink("eth0", false)
	wantPings(t, nurse, router.Addr4(), false)
}

func TestCutAndHeal(t *testing.T) {
	if !lab.Require(t) {
		return
	}
	l := lab.Up(t, ward())
	nurse, records, router := l.Host("nurse"), l.Host("records"), l.Host("router")
	router.Cut(records.Addr4())
	wantPings(t, nurse, records.Addr4(), false)
	wantPings(t, nurse, records.Addr6(), true)
	router.Cut(records.Addr6())
	wantPings(t, nurse, records.Addr4(), true)
	wantPings(t, nurse, records.Addr6(), false)
	router.Cut()
	wantPings(t, nurse, records.Addr6(), true)
	nurse.Cut(records.Addr4())
	wantPings(t, nurse, records.Addr4(), false)
	wantPings(t, records, nurse.Addr4(), false)
}

func TestNFTOfAMachineIsInForceFromTheStart(t *testing.T) {
	if !lab.Require(t) {
		return
	}
	top := ward()
	top.Machines[1].NFT = "table ip nat { chain post { type nat hook postrouting priority srcnat; oifname eth1 masquerade; }; }"
	top.Machines[2].Sysctls = map[string]string{"net/ipv4/ip_local_port_range": "20000 20000"}
	l := lab.Up(t, top)
	at := netip.AddrPortFrom(l.Host("records").Addr4(), 80)
	l.Host("records").ServeHTTP(at, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.RemoteAddr) }))
	resp, err := l.Host("nurse").HTTPClient().Get("http://" + at.String())
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if seen, _ := io.ReadAll(resp.Body); !strings.HasPrefix(string(seen), "10.2.0.1:") {
		t.Errorf("behind the NAT the client is seen as %s", seen)
	}
	conn, err := l.Host("records").Dial(t.Context(), "udp", netip.MustParseAddrPort("10.2.0.1:9"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if local := conn.LocalAddr().String(); local != "10.2.0.2:20000" {
		t.Errorf("with its sysctl the host dials from %s", local)
	}
}

func TestTwoLabsWithTheSameAddressesDoNotMeet(t *testing.T) {
	if !lab.Require(t) {
		return
	}
	one, two := lab.Up(t, lab.Segment("a", "b")), lab.Up(t, lab.Segment("a", "b"))
	at := netip.AddrPortFrom(one.Host("b").Addr4(), 80)
	one.Host("b").ServeHTTP(at, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "one") }))
	get := func(l *lab.Lab) (string, error) {
		resp, err := l.Host("a").HTTPClient().Get("http://" + at.String())
		if err != nil {
			return "", err
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		return string(body), err
	}
	if body, err := get(one); err != nil || body != "one" {
		t.Errorf("inside its lab the server says %q, %v", body, err)
	}
	if _, err := get(two); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("from the other lab: %v, want a refused connection", err)
	}
}

func TestStreamsAndEchoes(t *testing.T) {
	if !lab.Require(t) {
		return
	}
	l := lab.Up(t, lab.Segment("a", "b"))
	a, b := l.Host("a"), l.Host("b")
	sink := b.ServeSink(netip.AddrPortFrom(b.Addr6(), 9000))
	pump := a.StartPump(netip.AddrPortFrom(b.Addr6(), 9000), time.Millisecond)
	lab.Eventually(t, 20*time.Second, "the stream flows", func() (bool, string) {
		return sink.Received() > 10_000 && !sink.Last().IsZero(), "too few bytes came"
	})
	b.NFT("table inet cut { chain i { type filter hook input priority 0; tcp dport 9000 reject with tcp reset; }; }")
	select {
	case <-pump.Done():
	case <-time.After(20 * time.Second):
		t.Error("the stream outlived its reset")
	}
	if err := pump.Stop(); err == nil {
		t.Error("the stream was reset, and its error is nil")
	}
	if sink.Accepted() != 1 || pump.Sent() < sink.Received() {
		t.Errorf("%d connections, %d bytes sent, %d received", sink.Accepted(), pump.Sent(), sink.Received())
	}

	at := netip.AddrPortFrom(b.Addr4(), 7)
	b.EchoUDP(at)
	b.ServeEcho(at)
	for _, network := range []string{"udp", "tcp"} {
		conn, err := a.Dial(t.Context(), network, at)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(20 * time.Second))
		io.WriteString(conn, "hello")
		buf := make([]byte, 16)
		if n, err := conn.Read(buf); string(buf[:n]) != "hello" {
			t.Errorf("%s echo: %q, %v", network, buf[:n], err)
		}
	}
}

func TestProcessesAreStoppedKilledAndLogged(t *testing.T) {
	if !lab.Require(t) {
		return
	}
	l := lab.Up(t, lab.Segment("a"))
	a := l.Host("a")
	polite := a.Start("polite", "sh", "-c", "echo here; exec sleep 600")
	stubborn := a.Start("stubborn", "sh", "-c", "trap '' TERM; echo ready; while :; do sleep 600; done")
	lab.Eventually(t, 20*time.Second, "both run", func() (bool, string) {
		return strings.Contains(polite.Log(), "here") && strings.Contains(stubborn.Log(), "ready"), "no word in the logs"
	})
	if drawing := l.Draw(); !strings.Contains(drawing, "polite, running") || !strings.Contains(drawing, "10.77.0.1/24") || !strings.Contains(drawing, "| ready") {
		t.Errorf("the drawing lacks a process, an address or a log:\n%s", drawing)
	}
	polite.Stop(20 * time.Second)
	if ended, _ := polite.Exited(); !ended {
		t.Error("stopped, and still there")
	}
	if err := stubborn.Stop(100 * time.Millisecond); err == nil || !strings.Contains(err.Error(), "did not end") {
		t.Errorf("a process that ignores SIGTERM: %v", err)
	}
	if err := syscall.Kill(stubborn.Pid(), 0); err != syscall.ESRCH {
		t.Errorf("killed, and still there: %v", err)
	}
	if out, err := a.RunInput(t.Context(), "secret", "cat"); out != "secret" || err != nil {
		t.Errorf("standard input: %q, %v", out, err)
	}
	if _, err := a.Run(t.Context(), "sh", "-c", "echo broken; exit 3"); err == nil || !strings.Contains(err.Error(), "broken") {
		t.Errorf("a failed command says: %v", err)
	}
}

func TestLabLeavesNothingBehind(t *testing.T) {
	if !lab.Require(t) {
		return
	}
	var pid int
	var name string
	code := lab.Main("inner", io.Discard, func(t lab.T) {
		l := lab.Up(t, lab.Segment("a", "b"))
		name = l.Host("a").Namespace()
		pid = l.Host("a").Start("sleeper", "sleep", "600").Pid()
		panic("the test panics")
	})
	if code != 1 {
		t.Errorf("a panic gives exit code %d", code)
	}
	if err := syscall.Kill(pid, 0); err != syscall.ESRCH {
		t.Errorf("the process lives on: %v", err)
	}
	left, _ := filepath.Glob("/run/netns/" + strings.TrimSuffix(name, "a") + "*")
	if name == "" || len(left) > 0 {
		t.Errorf("namespaces %v are left", left)
	}
}

func TestSweepRemovesWhatADeadProcessLeft(t *testing.T) {
	if !lab.Require(t) {
		return
	}
	// No process has the largest number, so these are of a dead one.
	stale, foreign := "cordon-4194304-abc-a", "cordonless-4194304-a"
	sh := func(script string) { t.Helper(); runShell(t, script) }
	sh("ip netns add " + stale + " && ip netns add " + foreign)
	defer sh("ip netns del " + foreign)
	disk := filepath.Join(os.TempDir(), "cordon-4194304-abc-lab", "state")
	sh("mkdir -p " + disk + " && mount -t tmpfs none " + disk)
	lab.Up(t, lab.Segment("a"))
	if _, err := os.Stat(filepath.Dir(disk)); !os.IsNotExist(err) {
		t.Errorf("%s was not swept: %v", disk, err)
	}
	if _, err := os.Stat("/run/netns/" + stale); !os.IsNotExist(err) {
		t.Errorf("%s was not swept: %v", stale, err)
	}
	if _, err := os.Stat("/run/netns/" + foreign); err != nil {
		t.Errorf("%s is not ours, and was swept: %v", foreign, err)
	}
}

func TestSmallDiskIsSmallAndGoes(t *testing.T) {
	if !lab.Require(t) {
		return
	}
	var dir string
	lab.Main("inner", io.Discard, func(t lab.T) {
		l := lab.Up(t, lab.Segment("a"))
		dir = l.SmallDisk("state", 64)
		l.Host("a").Start("user", "sh", "-c", "exec 3>"+dir+"/held; sleep 600")
		if err := os.WriteFile(filepath.Join(dir, "file"), make([]byte, 100<<10), 0o600); !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("100 KiB on a disk of 64: %v", err)
		}
	})
	if _, err := os.Stat(dir); dir == "" || !os.IsNotExist(err) {
		t.Errorf("%s is left: %v", dir, err)
	}
}

func TestTopologyIsChecked(t *testing.T) {
	network := []lab.Network{{Name: "n"}}
	on := func(network string, addresses ...string) []lab.Machine {
		return []lab.Machine{{Name: "a", Links: []lab.Link{{Network: network, Addresses: addresses}}}}
	}
	for _, bad := range []struct {
		top  lab.Topology
		says string
	}{
		{lab.Topology{Machines: on("nowhere")}, `"nowhere" that the topology lacks`},
		{lab.Topology{Machines: []lab.Machine{{Name: "a"}, {Name: "a"}}}, "taken"},
		{lab.Topology{Machines: []lab.Machine{{Name: "core"}}}, "reserved"},
		{lab.Topology{Networks: append(network, network...)}, "two networks"},
		{lab.Topology{Networks: network, Machines: on("n", "10.0.0.1")}, "10.0.0.1"},
		{lab.Topology{Machines: []lab.Machine{{Name: "a", Routes: []lab.Route{{To: "default", Via: "router"}}}}}, "router"},
		{lab.Topology{Machines: []lab.Machine{{Name: "a", Routes: []lab.Route{{To: "all", Via: "10.0.0.1"}}}}}, "all"},
	} {
		var said strings.Builder
		if code := lab.Main("bad", &said, func(t lab.T) { lab.Up(t, bad.top) }); code != 1 || !strings.Contains(said.String(), bad.says) {
			t.Errorf("%+v: code %d, %q, want a word of %q", bad.top, code, said.String(), bad.says)
		}
	}
}

func TestMainGivesAContextThatEnds(t *testing.T) {
	var ctx context.Context
	var order string
	code := lab.Main("ok", io.Discard, func(t lab.T) {
		ctx = t.Context()
		t.Cleanup(func() { order += "first" })
		t.Cleanup(func() { order += "last, " })
	})
	if code != 0 || ctx.Err() == nil || order != "last, first" {
		t.Errorf("code %d, context %v, cleanups %q", code, ctx.Err(), order)
	}
}
