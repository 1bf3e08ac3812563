// Package netcheck puts what a node sees of its network into words for a help
// desk: what works, what does not, and what to do about it. It looks at nothing
// itself.
package netcheck

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/cordonmesh/cordon/node/internal/path/stun"
	"github.com/cordonmesh/cordon/node/internal/portmap"
	"github.com/cordonmesh/cordon/node/local"
	"github.com/cordonmesh/cordon/node/relay"
)

// Observed is what was seen.
type Observed struct {
	Only443     bool // UDP is not used, by configuration
	STUN        stun.Report
	Local       []netip.AddrPort // of the tunnels' socket on this machine
	Alone       bool             // this machine has no address but loopback
	NoMapping   bool             // no router is asked, by configuration
	Mapping     portmap.Status
	Relays      []Relay
	Coordinator Coordinator
	Host        Host
	Paths       []Path
	Ahead       time.Duration // of this machine's clock before policy time
	ClockAlarm  bool
}

// Relay is how one relay answered just now.
type Relay struct {
	Name, URL string
	Home      bool
	Connected bool
	Looked    relay.Measured
	Err       error
}

// Coordinator is how the stream to it stands.
type Coordinator struct {
	URL       string
	Connected bool
	Impostor  bool // what answered is no coordinator of this mesh; Err says what
	Err       error
	Heard     time.Time
}

// Host is how the coordinator's name was found. Name is empty where the URL holds
// an address.
type Host struct {
	Name  string
	Addrs []netip.Addr
	Took  time.Duration
	Err   error
}

// Path is how a peer is reached, or not. MTU is of packets in the tunnel, in bytes;
// 0: not known.
type Path struct {
	Direct, Relayed bool
	MTU             int
}

// Judge says what was seen, the most basic first.
func Judge(o Observed) []local.Finding {
	out := []local.Finding{names(o.Host), coordinator(o.Coordinator), clock(o)}
	if o.Only443 {
		out = append(out, local.Finding{Topic: "UDP", State: local.FindingOK, Text: "not used: the daemon was started with --only-443"})
	} else if o.Alone {
		out = append(out, alone())
	} else {
		out = append(out, udp("UDP over IPv4", o.STUN.V4, hasFamily(o.Local, netip.Addr.Is4), true),
			udp("UDP over IPv6", o.STUN.V6, hasFamily(o.Local, netip.Addr.Is6), false), nat(o), mapping(o))
	}
	if p, through := proxy(o.Relays); through {
		out = append(out, p)
	}
	for _, r := range o.Relays {
		out = append(out, oneRelay(r))
	}
	if len(o.Relays) == 0 {
		out = append(out, local.Finding{Topic: "relays", State: local.FindingLimited, Text: "the coordinator names none",
			Advice: "without a relay, peers behind NATs or firewalls may not be reached: start the coordinator without --no-relay, or run a cordon-relay"})
	}
	return append(out, paths(o.Paths)...)
}

func hasFamily(list []netip.AddrPort, is func(netip.Addr) bool) bool {
	return slices.ContainsFunc(list, func(a netip.AddrPort) bool { return is(a.Addr()) })
}

func names(h Host) local.Finding {
	f := local.Finding{Topic: "names", State: local.FindingOK}
	switch {
	case h.Name == "":
		f.Text = "none needed: the coordinator is known by its address"
	case h.Err != nil:
		f.State, f.Text = local.FindingBroken, fmt.Sprintf("%s is not found: %v", h.Name, h.Err)
		f.Advice = "look at this machine's name server (resolv.conf, DHCP); behind a captive portal, sign in first"
	default:
		f.Text = fmt.Sprintf("%s is %s, found in %s", h.Name, joined(h.Addrs), round(h.Took))
		if h.Took > 2*time.Second {
			f.State, f.Advice = local.FindingLimited, "the name server is slow: one of those configured may be dead"
		}
	}
	return f
}

func coordinator(c Coordinator) local.Finding {
	if c.Connected {
		return local.Finding{Topic: "coordinator", State: local.FindingOK, Text: c.URL + " is connected"}
	}
	if c.Impostor {
		return local.Finding{Topic: "coordinator", State: local.FindingLimited, Text: "something else answers in the coordinator's place, and is not believed: " + c.Err.Error(),
			Advice: "is this a captive portal: sign in there with a browser; else a box on the way inspects TLS, and the coordinator must be excepted. Tunnels and filter go on with the last map"}
	}
	why := "not asked yet"
	if c.Err != nil {
		why = c.Err.Error()
	}
	return local.Finding{Topic: "coordinator", State: local.FindingLimited, Text: fmt.Sprintf("%s is away: %s", c.URL, why),
		Advice: "tunnels and filter go on with the last map; changes of policy do not arrive: see that TCP to the coordinator is let out, and that no box on the way inspects its TLS"}
}

// Apart says how this machine's clock and policy time lie apart.
func Apart(ahead time.Duration) string {
	if ahead < 0 {
		return fmt.Sprintf("this machine's clock is %s behind policy time", -ahead.Round(time.Second))
	}
	return fmt.Sprintf("this machine's clock is %s ahead of policy time", ahead.Round(time.Second))
}

func clock(o Observed) local.Finding {
	if o.ClockAlarm {
		return local.Finding{Topic: "clock", State: local.FindingLimited, Text: Apart(o.Ahead),
			Advice: "set the clock right (NTP): certificates and logs go by it"}
	}
	return local.Finding{Topic: "clock", State: local.FindingOK, Text: "agrees with policy time"}
}

// alone is what there is to say of UDP on a machine that is in no network, as one
// on which somebody tries everything: nothing is blocked.
func alone() local.Finding {
	return local.Finding{Topic: "UDP", State: local.FindingOK, Text: "this machine has no address but loopback: peers on it are reached there, and no others"}
}

func udp(topic string, f stun.Family, there, needed bool) local.Finding {
	out := local.Finding{Topic: topic, State: local.FindingOK}
	switch {
	case !there:
		out.Text = "this machine has no such address"
		if needed {
			out.State = local.FindingLimited
		}
	case len(f.Servers) > 0 && !slices.ContainsFunc(f.Servers, func(s stun.Asked) bool { return !s.Addr.Addr().IsLoopback() }):
		out.Text = "not known: the only server to ask is on this machine itself, and no network lies in between"
	case len(f.Servers) == 0:
		out.State, out.Text = local.FindingLimited, "no server to ask"
		out.Advice = "let the coordinator answer STUN (its --stun), or run a cordon-relay"
	case f.Kind == stun.Blocked:
		out.State, out.Text = local.FindingLimited, "no server answers: this network lets no UDP out, or no answer in"
		out.Advice = "peers are reached through relays, which is slower; ask the network's owner to let UDP out to " + servers(f)
	case f.Kind == stun.Unknown:
		out.State, out.Text = local.FindingLimited, "no server has answered yet"
		out.Advice = "ask again in a few seconds"
	default:
		out.Text = "gets out"
		if seen := seenAt(f); seen != "" {
			out.Text += "; the internet sees this node at " + seen
		}
	}
	return out
}

func seenAt(f stun.Family) string {
	var at []string
	for _, m := range f.Mapped {
		at = append(at, m.Addr.String())
	}
	return strings.Join(at, ", ")
}

func servers(f stun.Family) string {
	var at []string
	for _, s := range f.Servers {
		at = append(at, s.Addr.String())
	}
	return strings.Join(at, ", ")
}

func nat(o Observed) local.Finding {
	f := local.Finding{Topic: "NAT", State: local.FindingOK}
	switch o.STUN.V4.Kind {
	case stun.NoNAT:
		f.Text = "none: this machine has a public address"
	case stun.EndpointIndependent:
		f.Text = "maps the same way for all (endpoint-independent mapping): direct paths can be made through it"
	case stun.AddressDependent, stun.AddressAndPortDependent:
		f.State, f.Text = local.FindingLimited, "maps anew for each destination ("+o.STUN.V4.Kind.String()+")"
		f.Advice = "peers behind such a NAT too are reached through a relay; port mapping on the router (UPnP, NAT-PMP, PCP), or a forwarded port with --endpoint, makes it direct"
		if o.Mapping.Protocol != portmap.None {
			f.State, f.Text, f.Advice = local.FindingOK, f.Text+", and the router lets peers in", ""
		}
	default:
		f.Text = "not known"
	}
	return f
}

func mapping(o Observed) local.Finding {
	f := local.Finding{Topic: "port mapping", State: local.FindingOK}
	switch {
	case o.NoMapping:
		f.Text = "off: the daemon was started with --no-port-mapping"
	case o.Mapping.Protocol == portmap.None:
		f.Text = "none: " + o.Mapping.Why
	case o.Mapping.DoubleNAT:
		f.State, f.Text = local.FindingLimited, fmt.Sprintf("%s by %s, which is no address of the internet", o.Mapping.External, o.Mapping.Protocol)
		f.Advice = "a second router or the provider translates too: put the router into bridge mode, or ask the provider for a public address"
	default:
		f.Text = fmt.Sprintf("%s by %s", o.Mapping.External, o.Mapping.Protocol)
	}
	return f
}

// proxy tells of the proxy that relays are reached through, if there is one.
func proxy(relays []Relay) (local.Finding, bool) {
	for _, r := range relays {
		if errors.Is(r.Err, relay.ErrProxy) {
			return local.Finding{Topic: "proxy", State: local.FindingBroken, Text: r.Err.Error(),
				Advice: "correct HTTPS_PROXY in the daemon's environment, with user and password if the proxy asks for them, or name what needs no proxy in NO_PROXY"}, true
		}
		if p := r.Looked.Way.Proxy; p != "" {
			return local.Finding{Topic: "proxy", State: local.FindingOK, Text: "relays are reached through " + p}, true
		}
	}
	return local.Finding{}, false
}

func oneRelay(r Relay) local.Finding {
	f := local.Finding{Topic: "relay " + r.Name, State: local.FindingOK, Text: fmt.Sprintf("answers in %s", round(r.Looked.RTT))}
	if r.Home {
		f.Text += "; home of this node"
	}
	switch {
	case r.Err == nil:
		if r.Looked.Way.WebSocket {
			f.Text += "; as a WebSocket, since something on the way breaks HTTP Upgrade"
		}
		return f
	case errors.Is(r.Err, relay.ErrRelayKey):
		f.State, f.Text = local.FindingBroken, r.Err.Error()
		f.Advice = "somebody else answers for " + r.URL + ", such as a box that inspects TLS: have the relay's name excepted there"
	default:
		f.State, f.Text = local.FindingBroken, r.Err.Error()
		f.Advice = "see that TCP to " + r.URL + " is let out, and that the relay runs"
	}
	return f
}

func paths(all []Path) []local.Finding {
	var direct, relayed int
	least := 0
	for _, p := range all {
		switch {
		case p.Direct:
			direct++
		case p.Relayed:
			relayed++
		}
		if p.MTU != 0 && (least == 0 || p.MTU < least) {
			least = p.MTU
		}
	}
	peers := local.Finding{Topic: "peers", State: local.FindingOK, Text: fmt.Sprintf("%d directly, %d through relays, %d not in use", direct, relayed, len(all)-direct-relayed)}
	if relayed > direct {
		peers.State, peers.Advice = local.FindingLimited, "`cordon status` says for each peer why there is no direct path"
	}
	mtu := local.Finding{Topic: "MTU", State: local.FindingOK, Text: "not measured yet: no peer is in use"}
	if least != 0 {
		mtu.Text = fmt.Sprintf("packets of %d bytes pass in the tunnel", least)
	}
	if least != 0 && least < 1280 {
		mtu.State, mtu.Advice = local.FindingLimited, "a link on the way is narrower than usual (PPPoE, another VPN): streams are fitted to it"
	}
	return []local.Finding{peers, mtu}
}

func joined(addrs []netip.Addr) string {
	var s []string
	for _, a := range addrs {
		s = append(s, a.String())
	}
	return strings.Join(s, ", ")
}

func round(d time.Duration) time.Duration { return d.Round(100 * time.Microsecond) }
