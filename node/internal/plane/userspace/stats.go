package userspace

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/acl/filter"
	"github.com/cordonmesh/cordon/coordinator/wire/key"
	"github.com/cordonmesh/cordon/node/internal/plane"
)

// Stats tells what the plane did so far.
func (p *Plane) Stats() (plane.Stats, error) {
	f := p.filter.Stats()
	s := plane.Stats{Revision: f.Revision, Flows: f.Flows, Verdicts: make(map[acl.Reason][2]uint64)}
	for reason := range f.Verdicts[filter.In] {
		n := [2]uint64{plane.In: f.Verdicts[filter.In][reason], plane.Out: f.Verdicts[filter.Out][reason]}
		if n != [2]uint64{} {
			s.Verdicts[acl.Reason(reason)] = n
		}
	}
	for _, r := range p.filter.Refusals() {
		s.Refusals = append(s.Refusals, plane.Refusal{
			First: r.First, Last: r.Last, Count: r.Count, Direction: direction(r.Direction),
			Peer: r.Peer, Src: r.Src, Dst: r.Dst, Protocol: r.Protocol, Verdict: r.Verdict, Until: r.Until,
		})
	}
	for _, e := range p.filter.Ending(p.now(), soon, maxEndings) {
		s.Endings = append(s.Endings, ending(e))
	}
	var err error
	s.Peers, s.Tunnels, err = p.peerStats()
	return s, err
}

// How long before their end flows are told of that lose their right, and of how many kinds.
const (
	soon       = 15 * time.Minute
	maxEndings = 20
)

func ending(e filter.Ending) plane.Ending {
	return plane.Ending{
		Direction: direction(e.Direction), Peer: e.Peer, Src: e.Src, Dst: e.Dst, Protocol: e.Protocol,
		Flows: e.Flows, End: e.End, Cut: e.Cut, Verdict: e.Verdict,
	}
}

func direction(d filter.Direction) plane.Direction {
	if d == filter.Out {
		return plane.Out
	}
	return plane.In
}

// peerStats tells of every peer of the map, and for how many there is a tunnel.
func (p *Plane) peerStats() (all []plane.PeerStats, tunnels int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now, err := p.tunnelStats()
	if err != nil {
		return nil, 0, err
	}
	members := p.guard.roster.Load().byID
	all = make([]plane.PeerStats, 0, len(members))
	for id, m := range members {
		seen := now[m.key] // nothing, if it has none
		sum := add(m.past, &seen)
		sum.ID = id
		all = append(all, *sum)
	}
	slices.SortFunc(all, func(a, b plane.PeerStats) int { return cmp.Compare(a.ID, b.ID) })
	return all, len(p.applied.tunnels), nil
}

// add gives what two tunnels of a peer did, the later last.
func add(past, last *plane.PeerStats) *plane.PeerStats {
	sum := *last
	if past != nil {
		sum.Received += past.Received
		sum.Sent += past.Sent
		if sum.LastHandshake.IsZero() {
			sum.LastHandshake = past.LastHandshake
		}
	}
	return &sum
}

// tunnelStats asks wireguard-go, which tells of its peers in text only. The caller
// holds p.mu.
func (p *Plane) tunnelStats() (map[key.TunnelPublic]plane.PeerStats, error) {
	text := peerText{keys: make(map[string]key.TunnelPublic, len(p.applied.tunnels)), peers: map[key.TunnelPublic]plane.PeerStats{}}
	for m := range p.applied.tunnels {
		text.keys[hexKey(m.key)] = m.key
	}
	if err := p.device.IpcGetOperation(&text); err != nil {
		return nil, fmt.Errorf("read the peers of wireguard-go: %w", redact(err))
	}
	return text.peers, nil
}

// peerText reads what wireguard-go writes, and keeps a few lines about peers. It
// is an io.Writer, so that the text, whose first line is the private key, is
// never held.
type peerText struct {
	keys  map[string]key.TunnelPublic // by their hexadecimal form
	peers map[key.TunnelPublic]plane.PeerStats
	at    key.TunnelPublic // whom the lines at hand are about
	known bool             // it is one of keys
}

// Write takes the text, which wireguard-go writes in one piece.
func (t *peerText) Write(text []byte) (int, error) {
	for line := range bytes.Lines(text) {
		name, value, ok := bytes.Cut(bytes.TrimSuffix(line, []byte("\n")), []byte("="))
		if !ok {
			continue
		}
		if err := t.line(string(name), string(value)); err != nil {
			return 0, err
		}
	}
	return len(text), nil
}

func (t *peerText) line(name, value string) error {
	if name == "public_key" {
		t.at, t.known = t.keys[value]
		return nil
	}
	if !t.known {
		return nil
	}
	p := t.peers[t.at]
	switch name {
	case "last_handshake_time_sec", "last_handshake_time_nsec", "rx_bytes", "tx_bytes":
	case "endpoint":
		if at, err := netip.ParseAddrPort(value); err == nil { // a node's is virtual
			p.Endpoint = at
			t.peers[t.at] = p
		}
		return nil
	default:
		return nil
	}
	n, err := strconv.ParseUint(value, 10, 63)
	if err != nil {
		return fmt.Errorf("%s is not a number", name)
	}
	switch name {
	case "last_handshake_time_sec":
		if n != 0 {
			p.LastHandshake = time.Unix(int64(n), 0)
		}
	case "last_handshake_time_nsec":
		if !p.LastHandshake.IsZero() {
			p.LastHandshake = p.LastHandshake.Add(time.Duration(n))
		}
	case "rx_bytes":
		p.Received = n
	case "tx_bytes":
		p.Sent = n
	}
	t.peers[t.at] = p
	return nil
}

func hexKey(k key.TunnelPublic) string {
	raw := k.Raw()
	return hex.EncodeToString(raw[:])
}
