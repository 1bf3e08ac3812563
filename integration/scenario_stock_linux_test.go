package integration

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/coordinator/wire/key"
	"github.com/cordonmesh/cordon/integration/lab"
	"github.com/cordonmesh/cordon/node/local"
)

func scanner4() netip.Addr { return netip.MustParseAddr("10.99.0.2") }
func scanner6() netip.Addr { return netip.MustParseAddr("fd99::2") }

// raiseBay makes the mesh and sets the scanner up by what the gateway prints.
func raiseBay(t *testing.T, args ...string) *stockScene {
	t.Helper()
	s := &stockScene{file: filepath.Join(t.TempDir(), "stock.conf")}
	args = append(args, "--port", "41641", "--stock-peers", s.file, "--stock-prefix", "10.99.0.0/24", "--stock-prefix", "fd99::/64")
	k := key.NewTunnel()
	s.scanner = &client{key: k}
	s.write(t, "[Peer]\nName = ct-3\nPublicKey = "+s.scanner.publicKey()+"\nAllowedIPs = 10.99.0.2/32, fd99::2/128\n")
	s.scene = raiseOn(t, bay(), bayPolicy(""), member{name: "ward", owner: "nina@hospital.example"},
		member{name: "ehr", owner: "tag:ehr"}, member{name: "gw", owner: "tag:gateway", args: args})
	if s.scene == nil {
		return nil
	}
	s.scanner.host = s.Host("scanner")
	var want []netip.Prefix
	for i, a := range args {
		if a == "--advertise" || a == "--stock-prefix" {
			want = append(want, netip.MustParsePrefix(args[i+1]))
		}
	}
	lab.Eventually(t, patience, "every route is advertised", func() (bool, string) {
		out := s.coordinator.Ctl("route", "list")
		for _, p := range want {
			if !strings.Contains(out, p.String()) {
				return false, out
			}
		}
		return true, ""
	})
	if why := s.gateway(t).StockPeers[0].Why; !strings.Contains(why, "no approved route") || !strings.Contains(why, "cordonctl route approve gw") {
		t.Errorf("the gateway says of its stock peer before its route is approved: %q", why)
	}
	for _, p := range want {
		s.coordinator.Ctl("route", "approve", "gw", p.String())
	}
	s.settle()
	s.scanner.up(t, s.config(t))
	return s
}

func (s *stockScene) write(t *testing.T, text string) {
	t.Helper()
	if err := os.WriteFile(s.file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// reload has the gateway read its file again, and gives the moment.
func (s *stockScene) reload(t *testing.T) time.Time {
	t.Helper()
	if out, err := s.nodes["gw"].TryCLI("", "stock", "reload"); err != nil {
		t.Fatal(out, err)
	}
	return time.Now()
}

func (s *stockScene) config(t *testing.T) string {
	t.Helper()
	var out string
	lab.Eventually(t, patience, "the gateway knows where it is", func() (ok bool, _ string) {
		var err error
		out, err = s.nodes["gw"].TryCLI("", "stock", "config", "ct-3")
		return err == nil && strings.Contains(out, "\nEndpoint = 10.77.0.4:41641\n"), out
	})
	return out
}

// gateway is what the gateway says of itself.
func (s *stockScene) gateway(t *testing.T) *local.Status {
	t.Helper()
	st, err := s.nodes["gw"].Status()
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// scanners gives the scanner's addresses with a port.
func scanners(port uint16) []netip.AddrPort {
	return []netip.AddrPort{netip.AddrPortFrom(scanner4(), port), netip.AddrPortFrom(scanner6(), port)}
}

// A plain WireGuard client speaks with its gateway, and through it with other nodes,
// as the policy says, whoever begins; and the gateway is no way to anything else.
func TestStockPeerIsUnderThePolicy_A67(t *testing.T) {
	s := raiseBay(t, "--advertise", "10.20.0.0/24")
	if s == nil {
		return
	}
	for _, name := range []string{"scanner", "gw", "ehr", "ward", "pump"} {
		s.serve(name, 80)
		s.serve(name, 22)
	}
	noWay := []syscall.Errno{syscall.ENETUNREACH, syscall.EHOSTUNREACH, syscall.ECONNREFUSED, syscall.EACCES}
	t.Run("permitted", func(t *testing.T) {
		for i := range 2 {
			for _, network := range []string{"tcp", "udp"} {
				s.served("scanner", network, s.at("gw", 80)[i])
				s.served("scanner", network, s.at("ehr", 80)[i])
				s.served("ward", network, scanners(80)[i])
			}
			s.answered("scanner", s.at("gw", 0)[i].Addr())
			s.answered("scanner", s.at("ehr", 0)[i].Addr())
			s.answered("ward", scanners(0)[i].Addr())
		}
		s.served("ward", "tcp", ap("10.20.0.9:80")) // the wing is carried beside it
	})
	t.Run("refused", func(t *testing.T) {
		for i := range 2 {
			s.refused("scanner", "tcp", s.at("ehr", 22)[i], syscall.ECONNREFUSED)
			s.refused("scanner", "udp", s.at("ehr", 22)[i], noWay...)
			s.refused("scanner", "tcp", s.at("gw", 22)[i], syscall.ECONNREFUSED)
			s.refused("scanner", "tcp", s.at("ward", 80)[i], syscall.ECONNREFUSED)
			s.refused("ward", "tcp", scanners(22)[i], syscall.ECONNREFUSED)
			s.refused("ehr", "tcp", scanners(80)[i], noWay...)
			s.refused("gw", "tcp", scanners(80)[i], noWay...)
		}
		s.refused("scanner", "tcp", ap("100.64.9.9:80"), noWay...)
		s.refused("ward", "tcp", ap("10.99.0.3:80"), noWay...)
	})
	t.Run("no transit", func(t *testing.T) {
		s.refused("scanner", "tcp", ap("10.20.0.9:80"), noWay...)
		s.refused("pump", "tcp", scanners(80)[0], noWay...)
		seen := s.Host("pump").Capture("eth0", lab.Touching(netip.MustParsePrefix("10.99.0.0/24")))
		s.Host("scanner").Inject(wg, netip.Addr{}, lab.UDP(netip.AddrPortFrom(scanner4(), 7), ap("10.20.0.9:80"), []byte("transit")),
			lab.UDP(netip.AddrPortFrom(scanner4(), 7), ap("10.20.0.1:80"), []byte("transit")), lab.UDP(netip.AddrPortFrom(scanner4(), 7), ap("10.77.0.2:80"), []byte("transit")))
		s.served("scanner", "tcp", s.at("gw", 80)[0])
		if packets, err := seen.Stop(); err != nil || len(packets) > 0 {
			t.Errorf("%d packets of the scanner are in the wing (%v)", len(packets), err)
		}
	})
	t.Run("unless the policy says so", func(t *testing.T) {
		s.setPolicy(bayPolicy(`{"src": ["scanner4"], "dst": ["10.20.0.9"], "ip": ["tcp:80"]},`))
		s.served("scanner", "tcp", ap("10.20.0.9:80"))
		s.refused("scanner", "tcp", ap("10.20.0.9:22"), syscall.ECONNREFUSED)
	})
	t.Run("explained", func(t *testing.T) {
		for _, c := range [][3]string{{"ct-3", "ehr:80", "allowed"}, {"ct-3", "ehr:22", "refused"}, {"ct-3", s.at("gw", 80)[0].String(), "allowed"}, {"ward", "ct-3:80", "allowed"}, {"ct-3", "ward:80", "refused"}} {
			if out, err := s.nodes["gw"].TryCLI("", "explain", c[0], c[1]); err != nil || !strings.HasPrefix(out, c[2]) {
				t.Errorf("%s to %s: %s %v, want %s", c[0], c[1], out, err, c[2])
			}
		}
	})
}

// A prefix for stock peers takes no network from the machine, and no address from
// the mesh: the start stops.
func TestPrefixOfStockPeersMustBeFree(t *testing.T) {
	s := raiseBay(t)
	if s == nil {
		return
	}
	gw := s.nodes["gw"]
	if err := gw.Process.Stop(patience); err != nil {
		t.Fatal(err)
	}
	for prefix, want := range map[string]string{
		"10.77.0.0/28": "10.77.0.0/24 is on eth0", "10.20.0.0/16": "10.20.0.0/24 is on eth1", "100.64.9.0/24": "a prefix outside of the mesh's ranges",
	} {
		s.write(t, "# nobody\n")
		out, err := gw.Host.Run(t.Context(), s.programs.Path("cordon"), "daemon", "--state", gw.State, "--stock-peers", s.file, "--stock-prefix", prefix)
		if err == nil || !strings.Contains(out, `stock-prefix: "`+prefix+`" is not allowed`) || !strings.Contains(out, want) {
			t.Errorf("with %s: %s %v, want %q", prefix, out, err, want)
		}
	}
}

// It may be anywhere, on any port, and move while it speaks.
func TestStockPeerRoams(t *testing.T) {
	s := raiseBay(t)
	if s == nil {
		return
	}
	s.serve("ehr", 80)
	s.served("scanner", "udp", s.at("ehr", 80)[0])
	before := s.gateway(t).StockPeers[0]
	if before.Endpoint == "" || !strings.HasPrefix(before.Endpoint, "10.77.0.5:") || before.LastHandshake.IsZero() || before.PublicKey != s.scanner.publicKey() {
		t.Errorf("the gateway says %+v", before)
	}
	f := startStreams(t, s.Host("scanner"), s.Host("ehr"), s.at("ehr", 0)[0].Addr(), s.at("ehr", 0)[1].Addr())
	s.Host("scanner").MustRun("ip", "address", "add", "10.77.0.205/24", "dev", "eth0")
	s.Host("scanner").MustRun("ip", "address", "del", "10.77.0.5/24", "dev", "eth0")
	s.Host("scanner").MustRun("ip", "address", "add", "10.77.0.205/24", "dev", "eth0")
	s.scanner.set(t, "listen_port=52000\n")
	lab.Eventually(t, patience, "the gateway sees where it is", func() (bool, string) {
		at := s.gateway(t).StockPeers[0].Endpoint
		return at == "10.77.0.205:52000", at
	})
	f.carry(t)
	f.stop()
	t.Run("and is found there by a gateway that starts again", func(t *testing.T) {
		s.serve("scanner", 80)
		// From now on it only answers: no initiation of its own, by its size, gets out.
		s.Host("scanner").NFT("table inet quiet { chain out { type filter hook output priority 0; udp length 156 drop; }; }")
		gw := s.nodes["gw"]
		lab.Eventually(t, patience, "the gateway notes where it is", func() (bool, string) {
			b, err := os.ReadFile(filepath.Join(gw.State, "stock.json"))
			return strings.Contains(string(b), "10.77.0.205:52000"), fmt.Sprint(string(b), err)
		})
		if err := gw.Process.Stop(patience); err != nil {
			t.Fatal(err)
		}
		gw.Start()
		s.settle()
		s.served("ward", "tcp", scanners(80)[0])
	})
}

// Whatever takes its right away ends what is under way: the policy, the route, the
// gateway's file.
func TestRevocationEndsStockPeersFlows_A31(t *testing.T) {
	t.Parallel() // most of it is waiting
	s := raiseBay(t)
	if s == nil {
		return
	}
	begin := func(t *testing.T) *streams {
		return startStreams(t, s.Host("scanner"), s.Host("ehr"), s.at("ehr", 0)[0].Addr(), s.at("ehr", 0)[1].Addr())
	}
	t.Run("policy edit", func(t *testing.T) {
		f := begin(t)
		f.ended(t, s.setPolicy(strings.ReplaceAll(bayPolicy(""), `"dst": ["tag:ehr"]`, `"dst": ["tag:gateway"]`)))
		f.told(t, true, true)
		s.setPolicy(bayPolicy(""))
	})
	t.Run("route withdrawn", func(t *testing.T) {
		f := begin(t)
		for _, p := range []string{"10.99.0.0/24", "fd99::/64"} {
			s.coordinator.Ctl("route", "approve", "--withdraw", "gw", p)
		}
		f.ended(t, s.settle())
		for _, p := range []string{"10.99.0.0/24", "fd99::/64"} {
			s.coordinator.Ctl("route", "approve", "gw", p)
		}
		s.settle()
	})
	t.Run("taken out of the file", func(t *testing.T) {
		f := begin(t)
		bad, good := "[Peer]\nName = ct-3\nAllowedIPs = 10.98.0.2/32\n", ""
		if b, err := os.ReadFile(s.file); err == nil {
			good = string(b)
		}
		s.write(t, bad)
		if out, err := s.nodes["gw"].TryCLI("", "stock", "reload"); err == nil || !strings.Contains(err.Error(), s.file+":3: ") || !strings.Contains(err.Error(), "10.99.0.0/24, fd99::/64") {
			t.Errorf("a bad file: %s %v", out, err)
		}
		f.carry(t) // a file that is refused changes nothing
		s.write(t, "# nobody\n")
		f.ended(t, s.reload(t))
		s.write(t, good)
		s.reload(t)
		s.answered("scanner", s.at("ehr", 0)[0].Addr())
	})
}

// What comes through its tunnel under another name than its own is dropped, and what
// others say in its name is too.
func TestStockPeerSpeaksInItsOwnNameAlone_A28(t *testing.T) {
	s := raiseBay(t)
	if s == nil {
		return
	}
	n := 0
	for i, own := range []netip.Addr{scanner4(), scanner6()} {
		to := s.at("ehr", 5000)[i]
		s.answered("scanner", to.Addr())
		send := func(packets ...lab.IP) { s.Host("scanner").Inject(wg, netip.Addr{}, packets...) }
		names := append(strangers(own), s.at("gw", 0)[i].Addr(), s.at("ward", 0)[i].Addr(), to.Addr(),
			netip.MustParseAddr("10.99.0.3"), netip.MustParseAddr("fd99::3"), netip.MustParseAddr("10.77.0.4"), netip.MustParseAddr("fd77::4"))
		t.Run(family(own), func(t *testing.T) {
			for _, src := range names {
				if src.Is4() != own.Is4() {
					continue
				}
				n++
				spoofed := []lab.IP{lab.UDP(netip.AddrPortFrom(src, 7), to, []byte("spoofed"))}
				s.arrivals(t, send, "ehr", "from "+src.String(), spoofed, sentinel(own, to.Addr(), n), n, 0)
			}
		})
	}
	t.Run("the gateway's programs", func(t *testing.T) {
		n++
		to := s.at("ehr", 5000)[0]
		seen := s.Host("ehr").Capture(tun, lab.Containing("in its name"))
		s.apps("gw")(lab.UDP(netip.AddrPortFrom(scanner4(), 4999), to, []byte("in its name")))
		s.Host("ward").Inject("eth0", netip.MustParseAddr("10.77.0.4"), lab.UDP(netip.AddrPortFrom(scanner4(), 4999), to, []byte("in its name")))
		s.answered("scanner", to.Addr())
		time.Sleep(quiet)
		if packets, err := seen.Stop(); err != nil || len(packets) > 0 {
			t.Errorf("%d packets came in its name (%v)", len(packets), err)
		}
	})
}

// Who knows the gateway and has a key that is in nobody's file is not answered at all.
func TestStrangersKeyHearsNothing(t *testing.T) {
	s := raiseBay(t)
	if s == nil {
		return
	}
	s.answered("scanner", s.at("gw", 0)[0].Addr())
	stranger := &client{host: s.Host("stranger"), key: key.NewTunnel()}
	gw := []netip.Addr{s.Host("gw").Addr4(), s.Host("gw").Addr6()}
	asked, heard := s.Host("gw").Capture("eth0", lab.UDPFrom(s.Host("stranger").Addr4())), s.Host("stranger").Capture("eth0", lab.UDPFrom(gw...))
	stranger.up(t, s.config(t))
	if n, err := s.Host("stranger").Ping(t.Context(), s.at("gw", 0)[0].Addr(), 1); n != 0 {
		t.Errorf("the gateway answers a stranger's ping (%v)", err)
	}
	lab.Eventually(t, patience, "the stranger asks again", func() (bool, string) { n := asked.Count(); return n >= 2, fmt.Sprint(n) })
	s.answered("scanner", s.at("gw", 0)[0].Addr())
	if packets, err := heard.Stop(); err != nil || len(packets) != 0 {
		t.Errorf("the gateway sent %d datagrams to a stranger (%v)", len(packets), err)
	}
}

// A gateway without rights on its machine fronts stock peers too: its kernel has no
// part in it.
func TestRootlessGatewayFrontsStockPeers(t *testing.T) {
	s := raiseBay(t, "--userspace")
	if s == nil {
		return
	}
	for _, name := range []string{"scanner", "ehr"} {
		s.serve(name, 80)
		s.serve(name, 22)
	}
	for i := range 2 {
		s.served("scanner", "tcp", s.at("ehr", 80)[i])
		s.served("ward", "tcp", scanners(80)[i])
		s.refused("scanner", "tcp", s.at("ehr", 22)[i], syscall.ECONNREFUSED)
		s.refused("ward", "tcp", scanners(22)[i], syscall.ECONNREFUSED)
	}
}
