package node

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/node/internal/localapi"
	"github.com/cordonmesh/cordon/node/internal/plane"
	"github.com/cordonmesh/cordon/node/local"
)

// upWithin is how long Up waits until the first map is enforced, with a lease.
const upWithin = 20 * time.Second

// daemon is a Node as its local API sees it.
type daemon Node

var _ localapi.Daemon = (*daemon)(nil)

// Status tells what the node is doing. A person who asks may be offered a sign-in.
func (d *daemon) Status(ctx context.Context, r local.StatusRequest) (*local.Status, error) {
	who := (*Node)(d).asks(ctx)
	s, err := (*Node)(d).status(who)
	if err != nil || !r.StepUp {
		return s, err
	}
	_, m := (*Node)(d).current()
	if m == nil || !m.stepUp(ctx, s, who) {
		return s, nil
	}
	return (*Node)(d).status(who)
}

// Up joins or starts, and returns when the node runs or waits for approval.
func (d *daemon) Up(ctx context.Context, r local.UpRequest) (*local.Status, error) {
	n := (*Node)(d)
	name := r.Name
	if name == "" {
		name = hostName()
	}
	ctx, cancel := context.WithTimeout(ctx, upWithin)
	defer cancel()
	if r.Shared != nil && *r.Shared {
		if err := n.mayShare(); err != nil {
			return nil, err
		}
	}
	if err := n.Join(ctx, r.Enrolment, name); err != nil {
		return nil, err
	}
	if r.Shared != nil {
		if err := n.share(*r.Shared); err != nil {
			return nil, fmt.Errorf("the node has joined: %w", err)
		}
	}
	for {
		_, m := n.current()
		if m == nil {
			if err := pause(ctx); err != nil {
				return nil, n.notUp(err)
			}
			continue
		}
		select {
		case <-m.ready:
			return n.status(n.asks(ctx))
		case <-ctx.Done():
			if n.failure() != nil {
				return nil, n.notUp(ctx.Err())
			}
			return nil, fmt.Errorf("the node joined, but has no map yet that the coordinator stands behind: %s", m.contactText())
		}
	}
}

// notUp says why there is no mesh although the node was told to be up. When the
// mesh fails the daemon ends, and this is the last that its user hears of it.
func (n *Node) notUp(err error) error {
	if failed := n.failure(); failed != nil {
		return fmt.Errorf("the node has joined, but cannot run here, and the daemon ends: %w", failed)
	}
	return fmt.Errorf("the node has joined, but did not start; the daemon's log says why: %w", err)
}

func (n *Node) failure() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.failed
}

// pause waits a moment for another goroutine, or for the end of ctx.
func pause(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(2 * time.Millisecond):
		return nil
	}
}

// hostName gives the machine's name without its domain.
func hostName() string {
	name, err := os.Hostname()
	if err != nil {
		return "node"
	}
	name, _, _ = strings.Cut(name, ".")
	return name
}

// Down stops the node.
func (d *daemon) Down(ctx context.Context) (*local.Status, error) {
	n := (*Node)(d)
	if err := n.Leave(ctx); err != nil {
		return nil, err
	}
	return n.status(n.asks(ctx))
}

// Ping probes the path to a peer.
func (d *daemon) Ping(ctx context.Context, r local.PingRequest) (*local.PingResponse, error) {
	_, m := (*Node)(d).current()
	if m == nil {
		return nil, errDown
	}
	at, err := m.find(r.Target)
	if err != nil {
		return nil, err
	}
	peer, ok := m.peerAt(at[0])
	if !ok {
		return nil, fmt.Errorf("no peer of this node owns %s", at[0])
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	out := &local.PingResponse{Peer: peer.Name, Address: at[0]}
	info, err := m.transport.Ping(ctx, peer.ID)
	if err != nil {
		out.Error = err.Error()
		return out, nil
	}
	out.RTT, out.Relay = info.RTT, string(info.Relay)
	if info.Endpoint.IsValid() {
		out.Endpoint = info.Endpoint.String()
	}
	return out, nil
}

// Explain gives this node's own verdict on a new flow.
func (d *daemon) Explain(ctx context.Context, r local.ExplainRequest) (*local.ExplainResponse, error) {
	_, m := (*Node)(d).current()
	if m == nil {
		return nil, errDown
	}
	p := m.plane.now.Load()
	if p == nil {
		return nil, errNoPlane
	}
	question, err := m.question(r, (*Node)(d).asks(ctx))
	if err != nil {
		return nil, err
	}
	v, until := p.Explain(question)
	out := &local.ExplainResponse{
		Allow: v.Allow, Outbound: question.Direction == plane.Out, Reason: v.Reason.String(), Rule: string(v.Rule), Until: until,
		Src: m.title(question.Src), Dst: m.title(question.Dst),
	}
	m.mu.Lock()
	out.Needs = lacking(m.state, out.Outbound, v, question.Src, question.Dst, m.node.clock.Human())
	m.mu.Unlock()
	m.locate(ctx, out)
	return out, nil
}

// question turns names into addresses of one family, and finds the direction.
func (m *mesh) question(r local.ExplainRequest, who asker) (q plane.Question, err error) {
	if q.Protocol, err = acl.ParseProtocol(r.Protocol); err != nil {
		return q, err
	}
	q.Port = r.Port
	if q.Src, q.Dst, err = m.ends(r, who); err != nil {
		return q, err
	}
	if !m.mayAsk(who, q.Src) {
		return q, fmt.Errorf("%s is another's: ask as that account, or as root", q.Src)
	}
	if q.Protocol == acl.ICMP && q.Src.Is6() {
		q.Protocol = acl.ICMPv6
	}
	var known bool
	if q.Direction, known = m.direction(q.Src, q.Dst); !known {
		return q, fmt.Errorf("neither %s nor %s is this node: ask one of the two, or `cordonctl policy explain`", r.Src, r.Dst)
	}
	return q, nil
}

// ends gives the first two addresses of one family. Who names no source asks from
// where they sit.
func (m *mesh) ends(r local.ExplainRequest, who asker) (src, dst netip.Addr, err error) {
	from, err := m.find(r.Src)
	if err != nil {
		return src, dst, err
	}
	if own := m.ownSeat(who); r.Src == "" && len(own) > 0 {
		from = own
	}
	to, err := m.find(r.Dst)
	if err != nil {
		return src, dst, err
	}
	for _, src := range from {
		for _, dst := range to {
			if src.Is4() == dst.Is4() {
				return src, dst, nil
			}
		}
	}
	return src, dst, fmt.Errorf("%s and %s have no address family in common", r.Src, r.Dst)
}

// direction tells which way a flow passes this node's filter, if it does.
func (m *mesh) direction(src, dst netip.Addr) (d plane.Direction, known bool) {
	_, from := m.stockAt(src)
	_, to := m.stockAt(dst)
	switch {
	case from && !to && m.isOwn(dst):
		return plane.In, true // it is a peer to this node, and behind it to the others
	case m.isOwn(src):
		return plane.Out, true
	case m.isOwn(dst):
		return plane.In, true
	}
	return 0, false
}

// find gives the addresses of a peer's name, an address, or (empty) this node.
func (m *mesh) find(text string) ([]netip.Addr, error) {
	m.mu.Lock()
	own := m.state.Self.Addresses
	m.mu.Unlock()
	if text == "" && len(own) > 0 {
		return own, nil
	}
	if a, err := netip.ParseAddr(text); err == nil {
		return []netip.Addr{a.Unmap()}, nil
	}
	if found := m.resolve(text); len(found) > 0 {
		return found, nil
	}
	if found := m.stockNamed(text); len(found) > 0 {
		return found, nil
	}
	return nil, fmt.Errorf("no peer of this node is called %q: `cordon status` lists them; others the policy hides from it", text)
}

func (m *mesh) isOwn(a netip.Addr) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if slices.Contains(m.state.Self.Addresses, a) || seatAt(m.state.Self.Seats, a) != nil {
		return true
	}
	for _, p := range m.state.Self.Routes {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// title names an address for people.
func (m *mesh) title(a netip.Addr) string {
	if p, ok := m.peerAt(a); ok {
		return p.Name + " (" + a.String() + ")"
	}
	if name, ok := m.stockAt(a); ok {
		return "stock peer " + name + " (" + a.String() + ")"
	}
	if m.isOwn(a) {
		return "this node (" + a.String() + ")"
	}
	return a.String()
}

// locate adds where the deciding rule stands, if the coordinator can be asked.
func (m *mesh) locate(ctx context.Context, out *local.ExplainResponse) {
	m.mu.Lock()
	connected, revision := m.connected, m.state.Revision
	m.mu.Unlock()
	if out.Rule == "" || !connected {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	found, err := m.follower.LookupRules(ctx, []string{out.Rule}, revision)
	if err != nil || len(found) == 0 {
		return
	}
	out.File, out.Line, out.Text = found[0].File, found[0].Line, found[0].Text
}
