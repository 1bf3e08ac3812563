//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/coordinator/wire/key"
	"github.com/cordonmesh/cordon/node/relay"
)

// relayMesh is what a coordinator has of a mesh to give tickets with.
type relayMesh struct {
	root        key.RootPrivate
	mapKey      key.MapPrivate
	certificate *wire.MapKeyCertificate
}

func newRelayMesh() *relayMesh { return relayMeshOf(key.NewRoot()) }

// relayMeshOf is that of a root which another process has too: a relay knows
// both by the one fingerprint.
func relayMeshOf(root key.RootPrivate) *relayMesh {
	m := &relayMesh{root: root, mapKey: key.NewMap()}
	now := time.Now()
	m.certificate = wire.SignMapKey(&m.root, wire.MapKey{Key: m.mapKey.Public(), Replica: "bench",
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(12 * time.Hour)})
	return m
}

func (m *relayMesh) fingerprint() key.Fingerprint { return m.root.Public().Fingerprint() }

func (m *relayMesh) ticket(node key.NodePublic) []byte {
	now := time.Now()
	return wire.SignRelayTicket(&m.mapKey, m.certificate, m.root.Public(),
		wire.RelayPermit{Node: node, NotBefore: now.Add(-time.Minute), NotAfter: now.Add(6 * time.Hour)})
}

// relayNode is a node's end at a relay.
type relayNode struct {
	*relay.Client
	own    key.NodePrivate
	states chan relay.State
}

func (n *relayNode) public() key.NodePublic { return n.own.Public() }

// join gives a node that is connected, and stays so until ctx is done.
func (m *relayMesh) join(ctx context.Context, g *group, d *relay.Dialer, receive func(n *relayNode, from key.NodePublic, datagram []byte)) (*relayNode, error) {
	n := &relayNode{own: key.NewNode(), states: make(chan relay.State, 16)}
	n.Client = relay.NewClient(relay.ClientConfig{Open: d.Open, Node: &n.own, Instance: relay.NewInstance(),
		Receive: func(from key.NodePublic, datagram []byte) { receive(n, from, datagram) },
		OnState: func(s relay.State) {
			select {
			case n.states <- s:
			default: // nobody reads any more: it was connected once
			}
		}})
	if err := n.SetTicket(m.ticket(n.public())); err != nil {
		return nil, err
	}
	g.start(func() { _ = n.Run(ctx) }) // its error is that of ctx
	return n, n.up(ctx)
}

func (n *relayNode) up(ctx context.Context) error {
	late := time.NewTimer(patience)
	defer late.Stop()
	why := errors.New("no attempt has ended")
	for {
		select {
		case s := <-n.states:
			if s.Connected {
				return nil
			}
			why = s.Err
		case <-late.C:
			return fmt.Errorf("a node at the relay: not within %s: %w", patience, why)
		case <-ctx.Done():
			return fmt.Errorf("a node at the relay: %w: %w", ctx.Err(), why)
		}
	}
}

// nothing is what a node does with datagrams that nobody sends it.
func nothing(*relayNode, key.NodePublic, []byte) {}
