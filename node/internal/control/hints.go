package control

import (
	"net/netip"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/cordonmesh/cordon/coordinator/wire"
)

// Hint is where a peer was last said to be. It is not trusted: a path is used only
// after its peer answered an authenticated probe.
type Hint struct {
	Endpoints []netip.AddrPort `json:"endpoints,omitempty"`
	Relay     string           `json:"relay,omitempty"` // its home, by name; empty: none
}

func (h Hint) equal(other Hint) bool {
	return h.Relay == other.Relay && slices.Equal(h.Endpoints, other.Endpoints)
}

// Hints are those of all peers, by node id.
type Hints map[string]Hint

const hintsFile = "hints.json"

// Hints reads where peers were last; damaged ones count as none, since nothing
// depends on them but speed.
func (d *Dir) Hints() Hints {
	h := Hints{}
	if _, err := d.readJSON(hintsFile, &h); err != nil || h == nil {
		return Hints{}
	}
	return h
}

// SaveHints writes where peers were last.
func (d *Dir) SaveHints(h Hints) error { return d.writeJSON(hintsFile, h) }

const relaysFile = "relays"

// Relays reads which relays there were, with this node's ticket, so that a start
// without a coordinator finds peers behind NATs too. Damaged ones count as none:
// the coordinator says them anew, and relays check the ticket.
func (d *Dir) Relays() wire.RelayOffer {
	b, err := d.read(relaysFile)
	if err != nil {
		return wire.RelayOffer{}
	}
	m := new(wire.Relays)
	if err := proto.Unmarshal(b, m); err != nil {
		return wire.RelayOffer{}
	}
	o, err := wire.ParseRelays(m)
	if err != nil {
		return wire.RelayOffer{}
	}
	return o
}

// SaveRelays writes which relays there are.
func (d *Dir) SaveRelays(o wire.RelayOffer) error {
	b, err := proto.Marshal(o.Proto())
	if err != nil {
		return err
	}
	return d.write(relaysFile, b)
}

// takeHints keeps what may help to find peers. Nothing here is signed: a lie
// costs a few probes, so who is no peer and what is no host's address is left out.
func (f *Follower) takeHints(h *wire.Hints) {
	changed := false
	for _, p := range h.Peers {
		if _, known := f.state.Map.Peers[p.Node]; !known {
			continue
		}
		at := hintFrom(p, f.hints[p.Node])
		changed = changed || !at.equal(f.hints[p.Node])
		f.hints[p.Node] = at
		f.o.Listener.Hint(p.Node, at)
	}
	for peer := range f.hints {
		if _, known := f.state.Map.Peers[peer]; !known {
			delete(f.hints, peer)
			changed = true
		}
	}
	if changed {
		f.note("keeping where peers are on disk", f.o.Dir.SaveHints(f.hints))
	}
}

// hintFrom reads a hint. A relay's name that is none leaves the one before.
func hintFrom(p *wire.PeerEndpoints, before Hint) (h Hint) {
	for _, text := range p.Endpoints[:min(len(p.Endpoints), maxHints)] {
		if e, err := netip.ParseAddrPort(text); err == nil && usable(e) {
			h.Endpoints = append(h.Endpoints, e)
		}
	}
	h.Relay = before.Relay
	if p.Relay == "" || wire.CheckRelayName(p.Relay) == nil {
		h.Relay = p.Relay
	}
	return h
}

// takeRelays hands up the relays that there are. What is not well formed is left
// out whole, and what was known before goes on counting: a relay is help, and no
// reason to part from the coordinator.
func (f *Follower) takeRelays(m *wire.Relays) {
	o, err := wire.ParseRelays(m)
	if f.note("taking the coordinator's relays", err); err != nil {
		return
	}
	f.o.Listener.Relays(o)
	f.note("keeping relays on disk", f.o.Dir.SaveRelays(o))
}

// usable keeps probes from going to a crowd.
func usable(e netip.AddrPort) bool {
	a := e.Addr()
	return e.Port() != 0 && !a.IsUnspecified() && !a.IsMulticast() && a.Unmap() != netip.AddrFrom4([4]byte{255, 255, 255, 255})
}
