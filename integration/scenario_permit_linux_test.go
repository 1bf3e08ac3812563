package integration

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/integration/lab"
)

// clinic lets nina's machines reach the record system: TCP and UDP on one port
// each. That opens an echo request between them too.
const clinic = `{
	"tagOwners": {"tag:ehr": ["nina@hospital.example"], "tag:lab": ["nina@hospital.example"]},
	"grants": [{"id": "records", "src": ["nina@hospital.example"], "dst": ["tag:ehr"], "ip": ["tcp:443", "udp:5000"]}]}`

// What a rule opens passes, in both families, whole and in fragments; what no
// rule opens fails at once for whoever asked, with a reason, and so does a mesh
// address that nobody has.
func TestPermittedFlowsAndTheRestIsRefusedAtOnce(t *testing.T) {
	s := raise(t, clinic, member{name: "ward", owner: "nina@hospital.example"}, member{name: "ehr", owner: "tag:ehr"}, member{name: "lab", owner: "tag:lab"})
	if s == nil {
		return
	}
	s.serve("ehr", 443, 5000, 22)
	s.serve("ward", 443)
	s.serve("lab", 443)
	for i, to := range s.at("ehr", 0) {
		port := func(p uint16) netip.AddrPort { return netip.AddrPortFrom(to.Addr(), p) }
		t.Run(family(to.Addr()), func(t *testing.T) {
			s.served("ward", "tcp", port(443))
			s.served("ward", "udp", port(5000))
			s.answered("ward", to.Addr())
			// 3,000 bytes do not fit the tunnel: the kernel cuts request and answer.
			if out, err := s.Host("ward").Run(t.Context(), "ping", "-n", "-c", "1", "-W", "5", "-s", "3000", to.Addr().String()); err != nil {
				t.Errorf("an echo in fragments: %v\n%s", err, out)
			}
			s.bigDatagram(t, "ward", port(5000))

			// The same port of the other protocol, another port, another machine,
			// and the way back.
			noWay := []syscall.Errno{syscall.EHOSTUNREACH, syscall.EACCES, syscall.ECONNREFUSED}
			s.refused("ward", "udp", port(443), noWay...)
			s.refused("ward", "tcp", port(5000), syscall.ECONNREFUSED)
			s.refused("ward", "tcp", port(22), syscall.ECONNREFUSED)
			s.refused("ehr", "tcp", s.at("ward", 443)[i], syscall.ECONNREFUSED)
			s.refused("ward", "udp", s.at("lab", 443)[i], noWay...)
			s.refused("ward", "tcp", s.at("lab", 443)[i], syscall.EHOSTUNREACH, syscall.ENETUNREACH) // ward's map does not name it
			nobody := netip.AddrPortFrom(last(to.Addr()), 443)
			s.refused("ward", "tcp", nobody, syscall.EHOSTUNREACH, syscall.ENETUNREACH)
			s.refused("ward", "udp", nobody, noWay...)
			s.pingRefused("ward", nobody.Addr())
			s.pingRefused("ehr", s.at("ward", 0)[i].Addr())
			s.reasons("ward", port(22), "no rule allows it")
			s.reasons("ward", nobody, "nobody has it")
		})
	}
	t.Run("flows are told", s.flowsTold)
	t.Run("a limit is kept", s.limitKept)
}

// bigDatagram has 4,000 bytes answered: fragments in both directions.
func (s *scene) bigDatagram(t *testing.T, from string, to netip.AddrPort) {
	t.Helper()
	conn, err := s.Host(from).Dial(t.Context(), "udp", to)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	sent, got := bytes.Repeat([]byte("fragment"), 500), make([]byte, 5000)
	lab.Eventually(t, patience, "a datagram in fragments is answered", func() (bool, string) {
		conn.SetDeadline(time.Now().Add(2 * time.Second))
		if _, err := conn.Write(sent); err != nil {
			return false, err.Error()
		}
		n, err := conn.Read(got)
		return bytes.Equal(got[:n], sent), fmt.Sprint(n, " bytes, ", err)
	})
}

// pingRefused wants an ICMP error in place of silence.
func (s *scene) pingRefused(from string, to netip.Addr) {
	s.t.Helper()
	began := time.Now()
	out, _ := s.Host(from).Run(s.t.Context(), "ping", "-n", "-c", "1", "-W", "20", to.String())
	took := time.Since(began)
	told := strings.Contains(out, "Packet filtered") || strings.Contains(out, "nreachable") || strings.Contains(out, "dministratively prohibited")
	if !told || took > 10*time.Second {
		s.t.Errorf("a ping from %s to %s ended after %s with %q, want an error at once", from, to, took, out)
	}
}

func (s *scene) reasons(node string, to netip.AddrPort, want string) {
	s.t.Helper()
	st, err := s.nodes[node].Status()
	if err != nil {
		s.t.Fatal(err)
	}
	if r, ok := refusal(st, to); !ok || !r.Outbound || !strings.Contains(r.Reason, want) {
		s.t.Errorf("%s's status says of %s: %+v, want %q", node, to, r, want)
	}
}

// last gives an address of the same range that is surely free.
func last(a netip.Addr) netip.Addr {
	b := a.AsSlice()
	b[len(b)-1], b[len(b)-2] = 0xee, 0xee
	out, _ := netip.AddrFromSlice(b)
	return out
}
