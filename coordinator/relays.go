package coordinator

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/cordonmesh/cordon/coordinator/admin"
	"github.com/cordonmesh/cordon/coordinator/internal/registry"
	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/coordinator/wire/key"
)

// OwnRelay is the name of the relay inside the coordinator.
const OwnRelay = "coordinator"

const (
	ticketLife    = 7 * 24 * time.Hour
	minTicketLife = 10 * time.Minute // it is looked at once a minute
	maxTicketLife = 365 * 24 * time.Hour

	stunPort = 3478 // RFC 8489, section 8.6: what cordon-relay takes

	// relayDrain is how long nodes have to leave the relay of a coordinator that
	// stops.
	relayDrain = 2 * time.Second
)

// RelayRecord is a relay as nodes are told of it.
type RelayRecord = wire.RelayRecord

// Relay is the relay inside a coordinator. It takes connections over from the
// HTTP server, bounds them by itself, and answers for their end.
type Relay interface {
	http.Handler
	// Drop ends the connections of a node, and does not block.
	Drop(node key.NodePublic, why string)
	// Shutdown returns when all connections have ended, at the latest soon after ctx.
	Shutdown(ctx context.Context)
	// Register has what it counts scraped.
	Register(r prometheus.Registerer) error
	// RespondSTUN answers on a UDP socket until ctx is done, and closes it.
	RespondSTUN(ctx context.Context, conn net.PacketConn) error
}

// RelayConfig is what a coordinator asks of the relay inside it.
type RelayConfig struct {
	Roots []key.Fingerprint            // of the meshes that it serves
	Admit func(wire.RelayPermit) error // has the last word on each node; never blocks
	Now   func() time.Time
	Log   *slog.Logger
}

// ParseRelay reads NAME=URL, NAME=URL#PIN or either with ",stun=PORT": a relay that
// stands elsewhere, such as ward=https://relay.clinic.example. The pin is what
// `cordon-relay pin` prints; without one the web's authorities must vouch for the
// host's name. STUN is at UDP port 3478 where none is given; 0: nowhere.
func ParseRelay(text string) (wire.RelayRecord, error) {
	name, rest, _ := strings.Cut(text, "=")
	rest, port, ported := strings.Cut(rest, ",stun=")
	address, pin, pinned := strings.Cut(rest, "#")
	r := wire.RelayRecord{Name: name, URL: address, STUN: stunPort}
	if n, err := strconv.ParseUint(port, 10, 16); ported && err != nil {
		return wire.RelayRecord{}, errors.New("the STUN port is not 0 to 65535")
	} else if ported {
		r.STUN = uint16(n)
	}
	if b, err := hex.DecodeString(pin); pinned && (err != nil || len(b) != len(r.Pin) || wire.RelayPin(b) == wire.RelayPin{}) {
		return wire.RelayRecord{}, fmt.Errorf("the pin is not %d hexadecimal digits, as `cordon-relay pin` prints them", 2*len(r.Pin))
	} else if pinned {
		r.Pin = wire.RelayPin(b)
	}
	return r, r.Validate()
}

func (c *Config) validateRelays() error {
	if life := c.RelayTicketLife; life != 0 && (life < minTicketLife || life > maxTicketLife) {
		return notAllowed("relay-ticket-life", life.String(), fmt.Sprintf("from %s to %s", minTicketLife, maxTicketLife))
	}
	names := map[string]bool{OwnRelay: c.Relay != nil}
	for _, r := range c.Relays {
		if err := r.Validate(); err != nil {
			return notAllowed("relay", r.Name+"="+r.URL, fmt.Sprintf("NAME=URL or NAME=URL#PIN (%v)", err))
		}
		if names[r.Name] {
			return notAllowed("relay", r.Name, "a name that no other relay has")
		}
		names[r.Name] = true
	}
	if most := wire.MaxRelays - 1; len(c.Relays) > most {
		return notAllowed("relay", fmt.Sprint(len(c.Relays), " relays"), fmt.Sprint("at most ", most))
	}
	return nil
}

// offeredRelays gives the relays that nodes are told of, by ascending name.
func (a *assembly) offeredRelays(stun uint16) []wire.RelayRecord {
	all := slices.Clone(a.Relays)
	if a.Relay != nil {
		all = append(all, wire.RelayRecord{Name: OwnRelay, URL: a.settings.URL + wire.RelayPath, STUN: stun, Pin: a.webPin()})
	}
	slices.SortFunc(all, func(x, y wire.RelayRecord) int { return strings.Compare(x.Name, y.Name) })
	return all
}

// webPin says by what nodes know the web's side of the port: the key of the web
// certificate, if there is one, for a hospital's own authority is not known to
// every machine; else the mesh root, since our own certificate's key is another
// after each start.
func (a *assembly) webPin() wire.RelayPin {
	if a.web == nil {
		return wire.RelayPin(a.authority.Fingerprint())
	}
	return a.web.Pin()
}

// noSTUN is what Config.STUN says where none is wanted.
const noSTUN = "none"

// listenSTUN opens the socket for STUN, and gives the port at which nodes find it:
// beside the TLS port, the one that they know from the URL, which a router in
// front may have made another.
func (a *assembly) listenSTUN(beside net.Addr) (conn net.PacketConn, port uint16, err error) {
	if a.relay == nil || a.STUN == noSTUN {
		return nil, 0, nil
	}
	address := a.STUN
	if address == "" {
		address = beside.String()
	}
	conn, err = net.ListenPacket("udp", address)
	if err != nil {
		return nil, 0, fmt.Errorf("listening for STUN on UDP %s (another address or none is chosen by --stun): %w", address, err)
	}
	if a.STUN != "" {
		return conn, conn.LocalAddr().(*net.UDPAddr).AddrPort().Port(), nil
	}
	u, err := url.Parse(a.settings.URL)
	if err != nil {
		return nil, 0, errors.Join(err, conn.Close())
	}
	at, err := strconv.ParseUint(cmp.Or(u.Port(), "443"), 10, 16)
	return conn, uint16(at), err
}

// openRelay makes the relay inside the coordinator.
func (a *assembly) openRelay() (err error) {
	if a.Relay == nil {
		return nil
	}
	a.relay, err = a.Relay(RelayConfig{Roots: []key.Fingerprint{a.authority.Fingerprint()}, Admit: a.admitToRelay, Now: a.Now, Log: a.Log})
	if err != nil {
		return fmt.Errorf("the relay inside the coordinator: %w", err)
	}
	return nil
}

// admitToRelay asks what no ticket can say: whether the node is still in the mesh.
func (a *assembly) admitToRelay(p wire.RelayPermit) error {
	state := a.registry.Snapshot()
	if n, ok := state.NodeByKey(p.Node); !ok || !state.Admitted(n) {
		return errors.New("it is not in the mesh, waits for approval, or its owner is disabled")
	}
	return nil
}

// forRelay tells whether a request is for the relay. What comes under the names
// of nodes' and operators' doors is not, and neither is the relay's path there.
func (a *assembly) forRelay(r *http.Request) bool {
	return a.relay != nil && r.URL.Path == wire.RelayPath && r.TLS != nil &&
		r.TLS.ServerName != wire.NodeServerName && r.TLS.ServerName != admin.ServerName
}

// keepRelay drops from the relay whoever is removed from the mesh, and stops it.
// A node that the relay lets in at the moment of its removal is either dropped
// here, or turned away by admitToRelay, which the relay asks when it has it on
// its list.
func (a *assembly) keepRelay(ctx context.Context) error {
	state, changed := a.registry.Watch()
	at := state.Revision
	for {
		select {
		case <-ctx.Done():
			late, cancel := context.WithTimeout(context.WithoutCancel(ctx), relayDrain)
			defer cancel()
			a.relay.Shutdown(late)
			return nil
		case <-changed:
			changed = a.registry.Changed()
			at = a.dropRemoved(at)
		}
	}
}

// dropRemoved drops those who were removed since a revision, and gives the
// revision up to which it looked.
func (a *assembly) dropRemoved(since uint64) uint64 {
	const why = "this node was removed from the mesh"
	state := a.registry.Snapshot()
	entries, ok := a.registry.Since(since)
	if !ok {
		for _, r := range state.Revocations() {
			a.relay.Drop(r.Key, why)
		}
		for n := range state.Nodes() {
			a.dropShutOut(state, n)
		}
		return state.Revision
	}
	people := map[string]bool{}
	for _, e := range entries {
		switch v := e.Event.(type) {
		case registry.NodeRemoved:
			a.relay.Drop(v.Revocation.Key, why)
		case registry.RevocationTaken:
			a.relay.Drop(v.Revocation.Key, why)
		case registry.UserPut:
			people[v.User.ID] = true
		}
	}
	for _, id := range state.MachinesOf(people) {
		if n, ok := state.Node(id); ok {
			a.dropShutOut(state, n)
		}
	}
	if n := len(entries); n > 0 {
		return entries[n-1].Revision
	}
	return since
}

// dropShutOut ends a node's connection to the relay if it may have no peers.
func (a *assembly) dropShutOut(state *registry.State, n *registry.Node) {
	if !state.Admitted(n) {
		a.relay.Drop(n.Key, "this node has no peers: it waits for approval, or its owner is disabled")
	}
}
