package query

import (
	"encoding/json"
	"fmt"
	"net/netip"

	"github.com/cordonmesh/cordon/acl/compile"
)

// Directory reads the mesh that a question describes (its users, nodes and
// ranges) and leaves the rest of the question alone.
func Directory(text []byte) (nodes []compile.Node, ranges []netip.Prefix, err error) {
	var q question
	if err := json.Unmarshal(text, &q); err != nil {
		return nil, nil, fmt.Errorf("the mesh is not described as it must be: %w", err)
	}
	if q.V != 1 {
		return nil, nil, fmt.Errorf(`"v" is %d: this program reads descriptions of version 1`, q.V)
	}
	m, err := q.mesh(nil)
	if err != nil {
		return nil, nil, err
	}
	ranges, err = q.ranges()
	for n := range m.Nodes() {
		nodes = append(nodes, n)
	}
	return nodes, ranges, err
}
