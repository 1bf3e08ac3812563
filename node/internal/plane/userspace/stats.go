package userspace

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/cordonmesh/cordon/coordinator/wire/key"
	"github.com/cordonmesh/cordon/node/internal/plane"
)

// peerStats asks wireguard-go, which tells of its peers in text only.
func (p *Plane) peerStats() ([]plane.PeerStats, error) {
	p.mu.Lock()
	names := make(map[string]string, len(p.applied.peers))
	for k, known := range p.applied.peers {
		names[hexKey(k)] = known.id
	}
	p.mu.Unlock()
	text := peerText{names: names}
	if err := p.device.IpcGetOperation(&text); err != nil {
		return nil, fmt.Errorf("read the peers of wireguard-go: %w", redact(err))
	}
	slices.SortFunc(text.peers, func(a, b plane.PeerStats) int { return cmp.Compare(a.ID, b.ID) })
	return text.peers, nil
}

// peerText reads what wireguard-go writes, and keeps a few lines about peers. It
// is an io.Writer, so that the text, whose first line is the private key, is
// never held.
type peerText struct {
	names map[string]string // ids by hexadecimal key
	peers []plane.PeerStats
	known bool // the lines at hand are about a peer of ours
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
		var id string
		if id, t.known = t.names[value]; t.known {
			t.peers = append(t.peers, plane.PeerStats{ID: id})
		}
		return nil
	}
	if !t.known {
		return nil
	}
	p := &t.peers[len(t.peers)-1]
	switch name {
	case "last_handshake_time_sec", "last_handshake_time_nsec", "rx_bytes", "tx_bytes":
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
	return nil
}

func hexKey(k key.TunnelPublic) string {
	raw := k.Raw()
	return hex.EncodeToString(raw[:])
}
