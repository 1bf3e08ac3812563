package wire

import (
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/cordonmesh/cordon/coordinator/wire/key"
)

// Two keys, a number and what a later version may add.
const maxClaim = 1024

// StatedKeys is what a node says of itself in a Statement.
type StatedKeys struct {
	Tunnel   key.TunnelPublic
	Path     key.PathPublic
	Sequence uint64 // a later statement has a greater one; Unix milliseconds
}

// SignStatement lets the holder of node name the keys that it uses from now on.
func SignStatement(node *key.NodePrivate, tunnel key.TunnelPublic, path key.PathPublic, sequence uint64) *Statement {
	payload, err := proto.Marshal(&StatementClaim{TunnelKey: tunnel.Bytes(), PathKey: path.Bytes(), Sequence: sequence})
	if err != nil {
		panic("wire: " + err.Error()) // bytes and a number always marshal
	}
	return &Statement{Payload: payload, Signature: node.Sign(key.ContextStatement, payload)}
}

// VerifyStatement gives what s says if node's key signed it. It fails with
// [key.ErrSignature] or [ErrMalformed].
func VerifyStatement(node key.NodePublic, s *Statement) (StatedKeys, error) {
	keys, err := parseClaim(s)
	if err != nil {
		return StatedKeys{}, err
	}
	if err := node.Verify(key.ContextStatement, s.GetPayload(), s.GetSignature()); err != nil {
		return StatedKeys{}, fmt.Errorf("statement of node %s: %w", NodeID(node), err)
	}
	return keys, nil
}

func parseClaim(s *Statement) (k StatedKeys, err error) {
	if s == nil || len(s.Payload) == 0 || len(s.Payload) > maxClaim {
		return k, malformed("statement of %d bytes, want 1 to %d", len(s.GetPayload()), maxClaim)
	}
	var claim StatementClaim
	if err := proto.Unmarshal(s.Payload, &claim); err != nil {
		return k, malformed("statement does not decode")
	}
	tunnel, err := key.TunnelPublicFrom(claim.TunnelKey)
	if err != nil {
		return k, malformed("statement: tunnel key: %v", err)
	}
	path, err := key.PathPublicFrom(claim.PathKey)
	if err != nil {
		return k, malformed("statement: path key: %v", err)
	}
	return StatedKeys{Tunnel: tunnel, Path: path, Sequence: claim.Sequence}, nil
}
