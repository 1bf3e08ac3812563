package node

import (
	"errors"
	"net/netip"
	"testing"

	"github.com/cordonmesh/cordon/acl/filter"
)

// What stands, and who may have begun it, by what a stack tells of its sockets.
func TestWhatStands(t *testing.T) {
	const none, connected, listens = "none", "connected", "listens"
	ours := []netip.Prefix{netip.MustParsePrefix("100.64.0.1/32")}
	peer := netip.MustParseAddrPort("100.64.0.2:443")
	for name, x := range map[string]struct {
		own           string
		pair, for0    string // what the stack has for the two ends, and for others at our end
		fails         bool
		begun         filter.Direction
		stands, known bool
	}{
		"a program dialled":                       {"100.64.0.1:40000", connected, none, false, filter.Out, true, true},
		"one that dialled does not serve":         {"100.64.0.1:40000", connected, none, false, filter.In, true, true},
		"the peer dialled":                        {"100.64.0.1:22", connected, listens, false, filter.In, true, true},
		"what the peer dialled is not ours":       {"100.64.0.1:22", connected, listens, false, filter.Out, false, true},
		"nothing stands":                          {"100.64.0.1:22", listens, listens, false, filter.In, false, true},
		"nothing is there":                        {"100.64.0.1:22", none, none, false, filter.Out, false, true},
		"behind this machine, anything may stand": {"192.168.7.5:22", none, none, false, filter.In, false, false},
		"the stack does not answer":               {"100.64.0.1:22", none, none, true, filter.Out, false, false},
	} {
		var own ownAddresses
		own.set(ours)
		find := func(_, with netip.AddrPort) (bool, bool, error) {
			found := x.pair
			if with.Port() == 0 {
				found = x.for0
			}
			if x.fails {
				return false, false, errors.New("no answer")
			}
			return found == connected, found == listens, nil
		}
		stands, known := own.stands(find, netip.MustParseAddrPort(x.own), peer, x.begun)
		if stands != x.stands || known != x.known {
			t.Errorf("%s: stands %v, known %v; want %v, %v", name, stands, known, x.stands, x.known)
		}
	}
	var unset ownAddresses
	if unset.has(peer.Addr()) {
		t.Error("a world without addresses has one")
	}
}

// A stack in this process is asked about what is its own, and nothing else.
func TestStackTellsWhatStands(t *testing.T) {
	w, err := newStack(Config{}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer w.close(false)
	if err := w.SetAddresses(t.Context(), []netip.Prefix{netip.MustParsePrefix("100.64.0.1/32")}); err != nil {
		t.Fatal(err)
	}
	peer := netip.MustParseAddrPort("100.64.0.2:443")
	for own, want := range map[string]bool{"100.64.0.1:22": true, "192.168.7.5:22": false} {
		if stands, known := w.stands(netip.MustParseAddrPort(own), peer, filter.In); stands || known != want {
			t.Errorf("at %s: stands %v, known %v; want it known: %v", own, stands, known, want)
		}
	}
}
