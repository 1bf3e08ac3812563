package adminapi

import (
	"context"
	"net/netip"
	"time"

	"connectrpc.com/connect"

	"github.com/cordonmesh/cordon/coordinator/admin"
	"github.com/cordonmesh/cordon/coordinator/internal/distribute"
	"github.com/cordonmesh/cordon/coordinator/internal/registry"
)

// Status tells how the mesh stands.
func (a *API) Status(ctx context.Context, _ *connect.Request[admin.StatusRequest]) (*connect.Response[admin.StatusResponse], error) {
	state := a.Registry.Snapshot()
	present, err := a.Hub.Present(ctx)
	if err != nil {
		return nil, connect.NewError(connect.CodeUnavailable, err)
	}
	watched, problem := a.Provider()
	out := &admin.StatusResponse{
		ProviderWatched: uint32(watched), ProviderProblem: problem,
		Mesh: state.Mesh.String(), Incarnation: state.Incarnation, Revision: state.Revision, Epoch: state.Epoch,
		Nodes: uint32(state.NodeCount()), Version: a.Version, Warnings: uint32(len(a.standing(ctx)) + len(a.notices())),
	}
	if v := state.Policy(); v != nil {
		out.PolicyRevision = v.Revision
	}
	out.PolicyUntil = untilOf(state.Policy())
	for _, p := range present {
		if !p.Connected {
			continue
		}
		out.Connected++
		if p.Current {
			out.Acknowledged++
		}
	}
	return connect.NewResponse(out), nil
}

// ListNodes lists every node, by name.
func (a *API) ListNodes(ctx context.Context, _ *connect.Request[admin.ListNodesRequest]) (*connect.Response[admin.ListNodesResponse], error) {
	present, err := a.Hub.Present(ctx)
	if err != nil {
		return nil, connect.NewError(connect.CodeUnavailable, err)
	}
	out := new(admin.ListNodesResponse)
	for _, n := range a.Registry.Snapshot().SortedNodes() {
		out.Nodes = append(out.Nodes, nodeMessage(n, present[n.ID]))
	}
	return connect.NewResponse(out), nil
}

// GetNode shows one node, by id or name.
func (a *API) GetNode(ctx context.Context, req *connect.Request[admin.GetNodeRequest]) (*connect.Response[admin.GetNodeResponse], error) {
	n, ok := a.Registry.Snapshot().FindNode(req.Msg.Node)
	if !ok {
		return nil, noNode(req.Msg.Node)
	}
	m, err := a.describe(ctx, n)
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&admin.GetNodeResponse{Node: m}), nil
}

// RemoveNode takes a node away for good.
func (a *API) RemoveNode(ctx context.Context, req *connect.Request[admin.RemoveNodeRequest]) (*connect.Response[admin.RemoveNodeResponse], error) {
	if _, err := a.do(ctx, registry.RemoveNode{Node: req.Msg.Node}); err != nil {
		return nil, err
	}
	return connect.NewResponse(&admin.RemoveNodeResponse{Epoch: a.Registry.Snapshot().Epoch}), nil
}

// TagNode gives a node exactly these tags.
func (a *API) TagNode(ctx context.Context, req *connect.Request[admin.TagNodeRequest]) (*connect.Response[admin.TagNodeResponse], error) {
	result, err := a.do(ctx, registry.TagNode{Node: req.Msg.Node, Tags: req.Msg.Tags})
	if err != nil {
		return nil, err
	}
	m, err := a.describe(ctx, result.Node)
	if err != nil {
		return nil, err
	}
	m.Warnings = append(m.Warnings, result.Warnings...)
	return connect.NewResponse(&admin.TagNodeResponse{Node: m}), nil
}

// ListRoutes lists every prefix that a node advertises or may carry.
func (a *API) ListRoutes(_ context.Context, _ *connect.Request[admin.ListRoutesRequest]) (*connect.Response[admin.ListRoutesResponse], error) {
	out := new(admin.ListRoutesResponse)
	for _, n := range a.Registry.Snapshot().SortedNodes() {
		for _, p := range n.Advertised {
			out.Routes = append(out.Routes, routeMessage(n, p))
		}
	}
	return connect.NewResponse(out), nil
}

// ApproveRoute lets a node carry a prefix, or ends that.
func (a *API) ApproveRoute(ctx context.Context, req *connect.Request[admin.ApproveRouteRequest]) (*connect.Response[admin.ApproveRouteResponse], error) {
	p, err := netip.ParsePrefix(req.Msg.Prefix)
	if err != nil {
		return nil, connect.NewError(connect.CodeInvalidArgument, err)
	}
	result, err := a.do(ctx, registry.ApproveRoute{Node: req.Msg.Node, Prefix: p, Withdraw: req.Msg.Withdraw})
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&admin.ApproveRouteResponse{Route: routeMessage(result.Node, p)}), nil
}

func (a *API) describe(ctx context.Context, n *registry.Node) (*admin.Node, error) {
	present, err := a.Hub.PresentOne(ctx, n.ID)
	if err != nil {
		return nil, connect.NewError(connect.CodeUnavailable, err)
	}
	return nodeMessage(n, present), nil
}

func nodeMessage(n *registry.Node, p distribute.Presence) *admin.Node {
	out := &admin.Node{
		Id: n.ID, Name: n.Name, NodeKey: n.Key.String(), User: n.Owner(), Tags: n.Tags, Approved: n.Approved,
		Connected: p.Connected, LastSeen: seconds(p.LastSeen), Acknowledged: p.Acknowledged.Revision,
		Version: n.Version, Os: n.OS, Warnings: p.Warnings, Created: seconds(n.Created), Token: n.Token,
		Expires: seconds(n.Expires), Expired: n.Expired,
	}
	if n.From.IsValid() {
		out.From = n.From.String()
	}
	if p := n.Proof; p != nil {
		out.Proof = &admin.JoinProof{Login: p.Login, At: seconds(p.At), Amr: p.AMR, Acr: p.ACR, Issuer: p.Issuer}
	}
	for _, addr := range n.Addresses {
		out.Addresses = append(out.Addresses, addr.String())
	}
	for _, e := range p.Endpoints {
		out.Endpoints = append(out.Endpoints, e.String())
	}
	for _, route := range n.Advertised {
		out.Advertised = append(out.Advertised, route.String())
	}
	for _, route := range n.Routes() {
		out.Routes = append(out.Routes, route.String())
	}
	return out
}

func routeMessage(n *registry.Node, p netip.Prefix) *admin.Route {
	by, ok := n.ApprovedRoutes[p]
	return &admin.Route{Node: n.ID, NodeName: n.Name, Prefix: p.String(), Approved: ok, ApprovedBy: by}
}

func seconds(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}

func noNode(name string) error {
	return connect.NewError(connect.CodeNotFound, registry.NoNode(name))
}
