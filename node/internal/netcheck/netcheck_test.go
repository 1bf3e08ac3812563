package netcheck_test

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/node/internal/netcheck"
	"github.com/cordonmesh/cordon/node/internal/path/stun"
	"github.com/cordonmesh/cordon/node/internal/portmap"
	"github.com/cordonmesh/cordon/node/local"
	"github.com/cordonmesh/cordon/node/relay"
)

var (
	seen    = netip.MustParseAddrPort("203.0.113.7:41641")
	server  = netip.MustParseAddrPort("192.0.2.1:3478")
	errAway = errors.New("connection refused")
)

func family(kind stun.Kind) stun.Family {
	f := stun.Family{Kind: kind, Servers: []stun.Asked{{Server: "coordinator", Addr: server, Failed: kind == stun.Blocked}}}
	if kind > stun.Blocked {
		f.Mapped = []stun.Mapped{{Addr: seen}}
	}
	return f
}

// well is a network in which everything works.
func well() netcheck.Observed {
	return netcheck.Observed{
		STUN:        stun.Report{V4: family(stun.EndpointIndependent), V6: family(stun.NoNAT)},
		Local:       []netip.AddrPort{netip.MustParseAddrPort("10.0.0.7:41641"), netip.MustParseAddrPort("[2001:db8::7]:41641")},
		Mapping:     portmap.Status{Protocol: portmap.PCP, External: seen},
		Relays:      []netcheck.Relay{{Name: "coordinator", URL: "https://mesh.example/relay", Home: true, Connected: true, Looked: relay.Measured{RTT: 12 * time.Millisecond}}},
		Coordinator: netcheck.Coordinator{URL: "https://mesh.example", Connected: true},
		Host:        netcheck.Host{Name: "mesh.example", Addrs: []netip.Addr{server.Addr()}, Took: time.Millisecond},
		Paths:       []netcheck.Path{{Direct: true, MTU: 1392}, {}},
	}
}

func TestNetworkInWhichAllWorksNeedsNoAdvice(t *testing.T) {
	topics := map[string]bool{}
	for _, f := range netcheck.Judge(well()) {
		if f.State != local.FindingOK || f.Advice != "" || f.Text == "" || topics[f.Topic] {
			t.Errorf("%+v", f)
		}
		topics[f.Topic] = true
	}
	if len(topics) != 10 {
		t.Errorf("found out about %v", topics)
	}
}

func TestEachTroubleIsNamedWithWhatToDo(t *testing.T) {
	relayFails := func(err error) func(*netcheck.Observed) {
		return func(o *netcheck.Observed) { o.Relays[0].Err = err }
	}
	for name, c := range map[string]struct {
		change       func(*netcheck.Observed)
		topic        string
		state        local.FindingState
		text, advice string
	}{
		"no UDP":        {func(o *netcheck.Observed) { o.STUN.V4 = family(stun.Blocked) }, "UDP over IPv4", local.FindingLimited, "lets no UDP out", "192.0.2.1:3478"},
		"nobody to ask": {func(o *netcheck.Observed) { o.STUN.V4 = stun.Family{} }, "UDP over IPv4", local.FindingLimited, "no server", "--stun"},
		"no answer yet": {func(o *netcheck.Observed) { o.STUN.V4 = family(stun.Unknown) }, "UDP over IPv4", local.FindingLimited, "yet", "again"},
		"no IPv6":       {func(o *netcheck.Observed) { o.Local = o.Local[:1] }, "UDP over IPv6", local.FindingOK, "no such address", ""},
		"no IPv4":       {func(o *netcheck.Observed) { o.Local = o.Local[1:] }, "UDP over IPv4", local.FindingLimited, "no such address", ""},
		"a hard NAT": {func(o *netcheck.Observed) {
			o.STUN.V4 = family(stun.AddressAndPortDependent)
			o.Mapping = portmap.Status{Why: "no gateway answers"}
		}, "NAT", local.FindingLimited, "each destination", "--endpoint"},
		"a hard NAT opened": {func(o *netcheck.Observed) { o.STUN.V4 = family(stun.AddressDependent) }, "NAT", local.FindingOK, "lets peers in", ""},
		"no mapping":        {func(o *netcheck.Observed) { o.Mapping = portmap.Status{Why: "no gateway answers"} }, "port mapping", local.FindingOK, "no gateway answers", ""},
		"mapping is off":    {func(o *netcheck.Observed) { o.NoMapping = true }, "port mapping", local.FindingOK, "--no-port-mapping", ""},
		"two NATs":          {func(o *netcheck.Observed) { o.Mapping.DoubleNAT = true }, "port mapping", local.FindingLimited, "no address of the internet", "bridge"},
		"UDP is off":        {func(o *netcheck.Observed) { o.Only443 = true }, "UDP", local.FindingOK, "--only-443", ""},
		"no relay":          {func(o *netcheck.Observed) { o.Relays = nil }, "relays", local.FindingLimited, "none", "cordon-relay"},
		"a relay is away":   {relayFails(errAway), "relay coordinator", local.FindingBroken, "refused", "TCP"},
		"TLS is inspected":  {relayFails(fmt.Errorf("%w: another", relay.ErrRelayKey)), "relay coordinator", local.FindingBroken, "another", "inspects TLS"},
		"a bad proxy":       {relayFails(fmt.Errorf("%w: 407", relay.ErrProxy)), "proxy", local.FindingBroken, "407", "HTTPS_PROXY"},
		"a proxy":           {func(o *netcheck.Observed) { o.Relays[0].Looked.Way.Proxy = "http://proxy:3128" }, "proxy", local.FindingOK, "http://proxy:3128", ""},
		"Upgrade is broken": {func(o *netcheck.Observed) { o.Relays[0].Looked.Way.WebSocket = true }, "relay coordinator", local.FindingOK, "WebSocket", ""},
		"no name server":    {func(o *netcheck.Observed) { o.Host.Err = errAway }, "names", local.FindingBroken, "mesh.example is not found", "name server"},
		"a slow one":        {func(o *netcheck.Observed) { o.Host.Took = 5 * time.Second }, "names", local.FindingLimited, "5s", "slow"},
		"no name needed":    {func(o *netcheck.Observed) { o.Host = netcheck.Host{} }, "names", local.FindingOK, "address", ""},
		"no coordinator":    {func(o *netcheck.Observed) { o.Coordinator = netcheck.Coordinator{Err: errAway} }, "coordinator", local.FindingLimited, "refused", "go on"},
		"a fast clock":      {func(o *netcheck.Observed) { o.Ahead, o.ClockAlarm = time.Hour, true }, "clock", local.FindingLimited, "is 1h0m0s ahead of", "NTP"},
		"a slow clock":      {func(o *netcheck.Observed) { o.Ahead, o.ClockAlarm = -5*time.Minute, true }, "clock", local.FindingLimited, "is 5m0s behind", "NTP"},
		"relayed peers":     {func(o *netcheck.Observed) { o.Paths = []netcheck.Path{{Relayed: true}} }, "peers", local.FindingLimited, "1 through relays", "status"},
		"a narrow path":     {func(o *netcheck.Observed) { o.Paths = []netcheck.Path{{Direct: true, MTU: 1216}, {MTU: 1300}} }, "MTU", local.FindingLimited, "1216", "PPPoE"},
	} {
		o := well()
		c.change(&o)
		found := false
		for _, f := range netcheck.Judge(o) {
			if f.Topic != c.topic {
				continue
			}
			found = true
			if f.State != c.state || !strings.Contains(f.Text, c.text) || !strings.Contains(f.Advice, c.advice) || (c.advice == "") != (f.Advice == "") {
				t.Errorf("%s: %+v", name, f)
			}
		}
		if !found {
			t.Errorf("%s: nothing is said of %s", name, c.topic)
		}
	}
}

// On a machine that is in no network, or whose only server is on itself, nothing
// is blocked.
func TestLoopbackIsNoNetworkThatBlocks(t *testing.T) {
	alone := well()
	alone.Alone, alone.Local, alone.STUN = true, nil, stun.Report{V4: family(stun.Unknown), V6: family(stun.Unknown)}
	own := well()
	own.STUN.V4 = stun.Family{Kind: stun.Blocked, Servers: []stun.Asked{{Server: "coordinator", Addr: netip.MustParseAddrPort("127.0.0.1:8443")}}}
	for want, o := range map[string]netcheck.Observed{"no address but loopback": alone, "on this machine itself": own} {
		said := false
		for _, f := range netcheck.Judge(o) {
			said = said || strings.Contains(f.Text, want)
			if f.State != local.FindingOK || f.Advice != "" {
				t.Errorf("%s: %+v", want, f)
			}
		}
		if !said {
			t.Errorf("nothing says %q", want)
		}
	}
}
