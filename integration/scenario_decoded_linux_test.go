package integration

import (
	"maps"
	"net/netip"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cordonmesh/cordon/integration/lab"
	"github.com/cordonmesh/cordon/node/local"
)

// Numbers of STUN (RFC 8489, RFC 5780).
const (
	bindingRequest, bindingSuccess                       = "0x0001", "0x0101"
	attrUsername, attrIntegrity, attrPadding, attrMapped = "0x0006", "0x0008", "0x0026", "0x0020"
)

// What a hospital's network team sees of us with the analyser that it has: path
// probes are STUN Binding requests and successes with MESSAGE-INTEGRITY, everything
// else between two nodes is WireGuard, and nothing is malformed.
func TestAnalyserDecodesWhatNodesSend(t *testing.T) {
	s := raise(t, `{"tagOwners": {"tag:anna": [], "tag:berta": []}, "grants": [{"src": ["tag:anna"], "dst": ["tag:berta"], "ip": ["*"]}]}`,
		member{name: "anna", owner: "tag:anna"}, member{name: "berta", owner: "tag:berta"})
	if s == nil {
		return
	}
	a, b := s.Host("anna"), s.Host("berta")
	toA, toB := lab.Touching(both(a.Addr4(), a.Addr6())...), lab.Touching(both(b.Addr4(), b.Addr6())...)
	udp := lab.UDPFrom(a.Addr4(), a.Addr6(), b.Addr4(), b.Addr6())
	capture := a.Capture("eth0", func(p []byte) bool { return udp(p) && toA(p) && toB(p) })
	s.answered("anna", s.nodes["berta"].Mesh4())
	s.nodes["anna"].Wait("a way to berta whose MTU was probed", func(st *local.Status) bool {
		p, ok := lab.FindPeer(st, "berta")
		return ok && p.Path == local.PathDirect && p.MTU > 0
	})
	file := filepath.Join(t.TempDir(), "nodes.pcap")
	if err := capture.Save(file); err != nil {
		t.Fatal(err)
	}
	kinds := map[string]int{}
	for _, f := range dissected(t, file, "frame.protocols", "stun.type", "stun.att.type", "_ws.malformed", "stun.response-in", "_ws.expert") {
		protocols, kind, attrs := f[0], f[1], strings.Split(f[2], ",")
		if strings.Contains(protocols, "malformed") || f[3] != "" {
			t.Errorf("a malformed packet: %q", f)
		}
		switch {
		case strings.HasSuffix(protocols, ":wg"):
			kind = "wireguard"
		case !strings.HasSuffix(protocols, ":stun"):
			t.Errorf("neither STUN nor WireGuard: %q", f)
		case kind == bindingRequest && attrs[0] == attrUsername && attrs[len(attrs)-1] == attrIntegrity:
			if slices.Contains(attrs, attrPadding) {
				kind += " padded"
			}
		case kind == bindingSuccess && slices.Equal(attrs, []string{attrMapped, attrIntegrity}):
		default:
			t.Errorf("no probe as RFC 8445 has it: %q", f)
		}
		kinds[kind]++
	}
	for _, want := range []string{bindingRequest, bindingRequest + " padded", bindingSuccess, "wireguard"} {
		if kinds[want] == 0 {
			t.Errorf("no %s among %v", want, slices.Sorted(maps.Keys(kinds)))
		}
	}
}

// both gives the prefixes that hold one address each.
func both(addrs ...netip.Addr) (of []netip.Prefix) {
	for _, a := range addrs {
		of = append(of, netip.PrefixFrom(a, a.BitLen()))
	}
	return of
}

// dissected gives what tshark reads in each packet of a file: the fields named,
// each with its values joined by commas.
func dissected(t *testing.T, file string, fields ...string) [][]string {
	t.Helper()
	args := []string{"-n", "-r", file, "-T", "fields"}
	for _, f := range fields {
		args = append(args, "-e", f)
	}
	out, err := exec.CommandContext(t.Context(), "tshark", args...).Output()
	if err != nil {
		t.Fatalf("tshark, which `make deps` installs, on %s: %v", file, err)
	}
	var packets [][]string
	for line := range strings.Lines(string(out)) {
		packets = append(packets, strings.Split(strings.TrimSuffix(line, "\n"), "\t"))
	}
	return packets
}
