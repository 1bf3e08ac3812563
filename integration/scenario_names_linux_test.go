package integration

import (
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/cordonmesh/cordon/integration/lab"
	"github.com/cordonmesh/cordon/integration/lab/resolvedtest"
	"github.com/cordonmesh/cordon/node/local"
)

// dnsClinic is clinic, and lets the record system ask ward's machines at the
// port of names.
const dnsClinic = `{
	"tagOwners": {"tag:ehr": ["nina@hospital.example"], "tag:lab": ["nina@hospital.example"]},
	"grants": [
		{"id": "records", "src": ["nina@hospital.example"], "dst": ["tag:ehr"], "ip": ["tcp:443"]},
		{"id": "names", "src": ["tag:ehr"], "dst": ["nina@hospital.example"], "ip": ["tcp:53", "udp:53"]}]}`

// clinicNames is who may be found by name: ward has --dns, and lab is not in its map.
func clinicNames(mode ...string) []member {
	return []member{{name: "ward", owner: "nina@hospital.example", args: append([]string{"--dns"}, mode...)},
		{name: "ehr", owner: "tag:ehr"}, {name: "lab", owner: "tag:lab"}}
}

// lookup is what a program finds by the C library, in one line; empty: nothing.
func (s *scene) lookup(host string, args ...string) string {
	s.t.Helper()
	out, err := s.Host(host).Run(s.t.Context(), "getent", args...)
	if err != nil && out != "" {
		s.t.Errorf("getent %v: %v", args, err)
	}
	first, _, _ := strings.Cut(out, "\n")
	return strings.Join(strings.Fields(first), " ")
}

// question gives the answer to a question from a host, or none in the time.
func (s *scene) question(from, network string, server netip.AddrPort, name string, qtype uint16, within time.Duration) (*dns.Msg, error) {
	s.t.Helper()
	conn, err := s.Host(from).Dial(s.t.Context(), network, server)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(within))
	co := &dns.Conn{Conn: conn, UDPSize: 1232}
	if err := co.WriteMsg(new(dns.Msg).SetQuestion(name, qtype)); err != nil {
		return nil, err
	}
	return co.ReadMsg()
}

// With a line in resolv.conf every program finds the peers of this node's map by
// name, nobody else hears of the mesh, and the rest is found as before; also
// after the daemon was killed, without waiting. The coordinator, whose name
// lies in the mesh's own domain, is found past the mesh, and where it was when
// its name server is gone.
func TestNamesByFileAreThePeersAndAKilledDaemonLeavesTheRest(t *testing.T) {
	if !lab.Require(t) {
		return
	}
	const coordinator = "coordinator.mesh.internal"
	s := &scene{t: t, programs: lab.Build(t), nodes: map[string]*lab.Daemon{}, named: coordinator}
	s.Lab = lab.Up(t, lab.Segment("hub", "ward", "ehr", "lab"))
	hub := s.Host("hub")
	original := "# of the ward's network\nnameserver " + hub.Addr4().String() + "\n"
	upstream := hub.ServeNames(hub.Addr4(), map[string]netip.Addr{
		coordinator + ".": hub.Addr4(), "www.example.": netip.MustParseAddr("192.0.2.80"), "pacs.hospital.example.": netip.MustParseAddr("10.9.0.4"),
		"evil.example.": netip.MustParseAddr("100.64.0.2"),
	})
	path := ""
	for _, name := range []string{"ward", "ehr", "lab"} {
		p := s.Host(name).ResolvConf(original)
		if name == "ward" {
			path = p
		}
	}
	members := clinicNames("file", "--dns-route", "hospital.example="+hub.Addr4().String())
	s.found(dnsClinic, members...)
	ward, ehr, hidden := s.nodes["ward"], s.nodes["ehr"], s.nodes["lab"]
	st := ward.Wait("names are answered", func(st *local.Status) bool { return st.Names.Via == "/etc/resolv.conf" })
	at := netip.AddrPortFrom(st.Names.Servers[0], 53)

	for args, want := range map[string]string{
		"ahostsv4 ehr.mesh.internal":       ehr.Mesh4().String() + " STREAM ehr.mesh.internal",
		"ahostsv6 EHR.Mesh.Internal":       ehr.Mesh6().String() + " STREAM EHR.Mesh.Internal",
		"hosts " + ehr.Mesh4().String():    ehr.Mesh4().String() + " ehr.mesh.internal",
		"hosts " + ehr.Mesh6().String():    ehr.Mesh6().String() + " ehr.mesh.internal",
		"ahostsv4 ward.mesh.internal":      ward.Mesh4().String() + " STREAM ward.mesh.internal",
		"ahostsv4 lab.mesh.internal":       "",
		"hosts " + hidden.Mesh4().String(): "",
		"ahostsv4 www.example":             "192.0.2.80 STREAM www.example",
		"ahostsv4 pacs.hospital.example":   "10.9.0.4 STREAM pacs.hospital.example",
		"ahostsv4 evil.example":            "",
		"ahostsv4 " + coordinator:          hub.Addr4().String() + " STREAM " + coordinator,
	} {
		if got := s.lookup("ward", strings.Fields(args)...); !strings.EqualFold(got, want) {
			t.Errorf("getent %s: %q, want %q", args, got, want)
		}
	}
	m, err := s.question("ward", "udp", at, "lab.mesh.internal.", dns.TypeA, 5*time.Second)
	if err != nil || m.Rcode != dns.RcodeNameError || len(m.Ns) != 1 || m.Ns[0].Header().Name != "mesh.internal." {
		t.Errorf("a node outside of the map: %v, %v", m, err)
	}
	for name, n := range upstream.Asked() {
		if name != coordinator+"." && (strings.HasSuffix(name, "mesh.internal.") || strings.HasSuffix(name, ".arpa.")) {
			t.Errorf("the name server of the ward's network was asked %d times for %s", n, name)
		}
	}

	s.killedLeavesTheRest(ward, path, original, members[0].args)
	upstream.Stop()
	ward.Process.Kill()
	ward.Start()
	ward.Wait("the coordinator is found where it was", func(st *local.Status) bool { return st.Coordinator.Connected })
	ward.Wait("names are answered", func(st *local.Status) bool { return st.Names.Via == "/etc/resolv.conf" })
	if err := ward.Process.Stop(patience); err != nil {
		t.Error(err)
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != original {
		t.Errorf("after the daemon's end the file is\n%s", text)
	}
}

// killedLeavesTheRest kills the daemon: names of others are found at once, ours
// are not, and the file is mended by hand or by the next start.
func (s *scene) killedLeavesTheRest(d *lab.Daemon, path, original string, args []string) {
	s.t.Helper()
	d.Process.Kill()
	began := time.Now()
	if got := s.lookup("ward", "ahostsv4", "www.example"); got != "192.0.2.80 STREAM www.example" {
		s.t.Errorf("after the daemon was killed, www.example is %q", got)
	}
	took := time.Since(began)
	s.t.Logf("after the daemon was killed, a name took %s", took)
	if took > 2*time.Second {
		s.t.Errorf("after the daemon was killed, a name took %s: less than the C library's 5 s of waiting is wanted", took)
	}
	if got := s.lookup("ward", "ahostsv4", "ehr.mesh.internal"); got != "" {
		s.t.Errorf("after the daemon was killed, a peer is %q", got)
	}
	for range 2 {
		if out, err := d.TryCLI("", "dns-restore"); err != nil {
			s.t.Errorf("%v: %s", err, out)
		}
		if text, err := os.ReadFile(path); err != nil || string(text) != original {
			s.t.Errorf("mended by hand the file is\n%s", text)
		}
	}
	d.Start()
	d.Wait("names are answered again", func(st *local.Status) bool { return st.Names.Via == "/etc/resolv.conf" })
	d.Process.Kill()
	d.SetArgs()
	d.Start()
	if text, err := os.ReadFile(path); err != nil || string(text) != original {
		s.t.Errorf("mended by the next start, with names off, the file is\n%s", text)
	}
	d.SetArgs(args...)
	d.Process.Kill()
	d.Start()
}

// systemd-resolved is told to ask the node for the mesh's names alone. Nobody but
// the node's own machine is answered, not even a peer that a rule lets knock
// there; and nothing is left when the daemon is killed, since the interface is gone.
func TestNamesByResolvedAreForThisMachineAlone(t *testing.T) {
	bus := resolvedtest.Start(t)
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", bus.Address())
	s := raise(t, dnsClinic, clinicNames("auto")...)
	if s == nil {
		return
	}
	ward, ehr := s.nodes["ward"], s.nodes["ehr"]
	ward.Wait("names are answered", func(st *local.Status) bool { return st.Names.Via == "systemd-resolved" && st.Names.Problem == "" })
	link, ok := bus.Only()
	if !ok || !slices.Equal(link.DNS, []netip.Addr{ward.Mesh4(), ward.Mesh6()}) || link.DefaultRoute || !slices.Contains(link.Domains, "~mesh.internal") {
		t.Errorf("systemd-resolved was told %+v", bus.Links())
	}
	s.answered("ehr", ward.Mesh4())
	for _, server := range s.at("ward", 53) {
		for _, network := range []string{"udp", "tcp"} {
			m, err := s.question("ward", network, server, "ehr.mesh.internal.", dns.TypeA, 5*time.Second)
			if err != nil || len(m.Answer) != 1 || !m.Answer[0].(*dns.A).A.Equal(ehr.Mesh4().AsSlice()) {
				t.Errorf("ward itself at %s %s: %v, %v", network, server, m, err)
			}
			if m, err := s.question("ehr", network, server, "ward.mesh.internal.", dns.TypeA, quiet); err == nil {
				t.Errorf("a peer at %s %s was answered: %v", network, server, m)
			}
			if m, err := s.question("hub", network, netip.AddrPortFrom(s.Host("ward").Addr4(), 53), "ward.mesh.internal.", dns.TypeA, quiet); err == nil {
				t.Errorf("a neighbour at %s was answered: %v", network, m)
			}
		}
	}
	if out, err := ward.TryCLI("", "status"); err != nil || !strings.Contains(out, "names: NAME.mesh.internal, by systemd-resolved") {
		t.Errorf("status says\n%s", out)
	}
	if out, err := ehr.TryCLI("", "status"); err != nil || !strings.Contains(out, "names: off\n") {
		t.Errorf("where names were not asked for, status says\n%s", out)
	}
	ward.Process.Kill()
	if out, err := s.Host("ward").Run(t.Context(), "ip", "link", "show", tun); err == nil {
		t.Errorf("the interface outlives the daemon, and with it what systemd-resolved was told:\n%s", out)
	}
	ward.Start()
	ward.Wait("names are answered again", func(st *local.Status) bool { return st.Names.Via == "systemd-resolved" })
	if err := ward.Process.Stop(patience); err != nil {
		t.Error(err)
	}
}
