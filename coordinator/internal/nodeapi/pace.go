package nodeapi

import (
	"errors"
	"net/http"
	"sync"
	"time"

	"connectrpc.com/connect"

	"github.com/cordonmesh/cordon/coordinator/wire"
)

// pace bounds how often one node may ask for what costs others: a report may be
// a record in the audit for ever and a message to every peer, a stream a whole
// map. A node with a valid key could else keep coordinator and peers busy and
// fill the disk. Acknowledgements are not counted: they follow our own changes.
type pace struct {
	now   func() time.Time
	mu    sync.Mutex
	nodes map[call]*spent
}

// call is what is counted: one kind of call of one node. A node's users can make
// it look up rules; that must not cost it its stream.
type call struct{ node, procedure string }

type spent struct {
	calls float64 // not yet forgiven
	at    time.Time
}

const (
	callsAtOnce    = 60 // a node that starts, loses its network and comes back makes a few
	callsPerSecond = 1
	maxPaced       = 500_000
)

func newPace(now func() time.Time) *pace {
	return &pace{now: now, nodes: map[call]*spent{}}
}

// allow counts a call, and tells whether it may be served.
func (p *pace) allow(c call) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	n := p.nodes[c]
	if n == nil {
		if len(p.nodes) >= maxPaced {
			clear(p.nodes)
		}
		n = &spent{at: now}
		p.nodes[c] = n
	}
	if passed := now.Sub(n.at).Seconds(); passed > 0 {
		n.calls = max(0, n.calls-passed*callsPerSecond)
	}
	n.at = now
	if n.calls+1 > callsAtOnce {
		return false
	}
	n.calls++
	return true
}

// paces tells whether a procedure is counted. Acknowledgements follow our own
// changes, and revocations come in parts as long as there are some.
func paces(procedure string) bool {
	return procedure != wire.NodeServiceAcknowledgeProcedure && procedure != wire.NodeServiceSurrenderProcedure
}

// tooOften refuses a node's call that comes too often, and tells whether it did.
func (s *service) tooOften(w http.ResponseWriter, r *http.Request, who *caller) bool {
	if !paces(r.URL.Path) || s.pace.allow(call{who.node.ID, r.URL.Path}) {
		return false
	}
	s.complain(who, "a node asks too often")
	s.refuse(w, r, connect.NewError(connect.CodeResourceExhausted, errors.New("this node asks too often: it will be served again in a moment")))
	return true
}
