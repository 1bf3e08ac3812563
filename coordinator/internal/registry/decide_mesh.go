package registry

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/cordonmesh/cordon/acl/policy"
	"github.com/cordonmesh/cordon/coordinator/internal/ipam"
	"github.com/cordonmesh/cordon/coordinator/wire"
)

func (c Init) decide(d *decision) error {
	if d.state.Initialised() {
		return fmt.Errorf("%w as %v at revision %d; a second mesh needs a store of its own", ErrInitialised, d.state.Mesh, d.state.Revision)
	}
	if c.Mesh == (wire.MeshID{}) {
		return fmt.Errorf("mesh id: %w: it is zero", ErrInvalid)
	}
	if err := CheckDomain(c.Domain); err != nil {
		return err
	}
	pool4, err := ipam.New(c.IPv4)
	if err != nil || !c.IPv4.Addr().Is4() {
		return fmt.Errorf("IPv4 range %v: %w", c.IPv4, errors.Join(ErrInvalid, err))
	}
	pool6, err := ipam.New(c.IPv6)
	if err != nil || !c.IPv6.Addr().Is6() {
		return fmt.Errorf("IPv6 range %v: %w", c.IPv6, errors.Join(ErrInvalid, err))
	}
	d.emit(Initialised{Mesh: c.Mesh, Domain: c.Domain, IPv4: pool4, IPv6: pool6})
	d.record("mesh.init", c.Mesh.String(), "domain %s, ranges %v and %v", c.Domain, c.IPv4, c.IPv6)
	return nil
}

func (c SetPolicy) decide(d *decision) error {
	current := d.state.Policy()
	if c.Expected != 0 && (current == nil || current.Revision != c.Expected) {
		return stalePolicy(c.Expected, current)
	}
	if current.Awaits() {
		return fmt.Errorf("policy of revision %d: %w until %v, by %s: confirm it or roll it back, then set another",
			current.Revision, ErrUnconfirmed, current.Until, current.Author)
	}
	if err := checkWord("policy file name", c.File); err != nil {
		return err
	}
	until, err := d.confirmBy(c.ConfirmWithin)
	if err != nil {
		return err
	}
	parsed, warnings, err := policy.Parse(c.File, []byte(c.Text))
	d.result.Problems = warnings
	if err != nil {
		return &PolicyError{Err: err, Warnings: warnings}
	}
	if current != nil && current.Text == c.Text {
		d.result.Policy = current
		return nil
	}
	d.emit(PolicySet{File: c.File, Text: c.Text, Author: d.actor, Until: until, parsed: parsed})
	d.record("policy.set", c.File, "%d bytes, replaces revision %d%s", len(c.Text), current.revision(), untilText(until))
	d.result.Policy = d.state.Policy()
	d.settleAll()
	d.beginDay(parsed)
	return nil
}

// beginDay lets the schedules of a policy that comes into force hold from now on,
// not from the next look on.
func (d *decision) beginDay(pol *policy.Policy) {
	if pol.Timely() && !sameDay(d.state.Observed().Time, d.now) {
		d.emit(Observed{Duty: d.state.Observed().Duty})
	}
}

func stalePolicy(expected uint64, current *PolicyVersion) error {
	if current == nil {
		return fmt.Errorf("policy: %w: you started from revision %d, and no policy was ever set", ErrStale, expected)
	}
	return fmt.Errorf("policy: %w: you started from revision %d, but %s put revision %d in force at %v; get that one and edit it",
		ErrStale, expected, current.Author, current.Revision, current.Time)
}

// revision gives the version's revision, or 0 for none.
func (v *PolicyVersion) revision() uint64 {
	if v == nil {
		return 0
	}
	return v.Revision
}

// settleAll lets a new policy approve routes and take its approvals back. Nodes
// without routes have nothing to settle.
func (d *decision) settleAll() {
	for _, n := range d.state.SortedNodes() {
		if len(n.Advertised)+len(n.ApprovedRoutes) == 0 {
			continue
		}
		next := n.copy()
		d.settle(next)
		d.change(n, next, "route.settle")
	}
	d.result.Node = nil
}

func (c ApproveRoute) decide(d *decision) error {
	n, err := d.node(c.Node)
	if err != nil {
		return err
	}
	if err := d.state.checkRoute(c.Prefix); err != nil {
		return err
	}
	by, approved := n.ApprovedRoutes[c.Prefix]
	next := n.copy()
	switch {
	case c.Withdraw && !approved:
		return fmt.Errorf("approved route %v of %s: %w", c.Prefix, n.Name, ErrNotFound)
	case c.Withdraw && by == ByPolicy:
		return fmt.Errorf("route %v of %s: %w: the policy approves it and would do so again at once; withdraw it in autoApprovers", c.Prefix, n.Name, ErrInvalid)
	case c.Withdraw:
		delete(next.ApprovedRoutes, c.Prefix)
	case !slices.Contains(n.Advertised, c.Prefix):
		return fmt.Errorf("route %v: %w: %s does not advertise it; it advertises %v", c.Prefix, ErrNotFound, n.Name, n.Advertised)
	case d.carrier(c.Prefix, n.ID) != nil:
		return fmt.Errorf("route %v: %w: %s carries it; withdraw it there first", c.Prefix, ErrExists, d.carrier(c.Prefix, n.ID).Name)
	case !approved || by == ByPolicy:
		next.ApprovedRoutes = maps.Clone(n.ApprovedRoutes)
		if next.ApprovedRoutes == nil {
			next.ApprovedRoutes = map[netip.Prefix]string{}
		}
		next.ApprovedRoutes[c.Prefix] = string(d.actor)
	}
	if len(next.ApprovedRoutes) == 0 {
		next.ApprovedRoutes = nil
	}
	d.change(n, next, "route.approve")
	return nil
}

func (c TakeRevocations) decide(d *decision) error {
	for _, r := range c.Revocations {
		if r.Key.IsZero() {
			return fmt.Errorf("revocation without a key: %w", ErrInvalid)
		}
		if _, known := d.state.Revoked(r.Key); known {
			continue
		}
		r.Node, r.Name, r.Time = wire.NodeID(r.Key), "", r.Time.UTC().Truncate(time.Millisecond)
		if n, ok := d.state.NodeByKey(r.Key); ok {
			r.Name = n.Name
		}
		d.emitOver(r.Node, RevocationTaken{r}, "the machine's key is revoked")
		d.record("revocation.take", r.Node, "revoked at epoch %d, %v; epoch is now %d", r.Epoch, r.Time, d.state.Epoch)
		d.result.Taken++
	}
	return nil
}

// skipAddresses is how many addresses a restored state passes over: those that
// it may have given, after the backup was made, to nodes that it no longer knows
// and that other nodes' maps still name.
const skipAddresses = 4096

func (c BeginIncarnation) decide(d *decision) error {
	if err := checkWord("reason", c.Reason); err != nil {
		return err
	}
	// Unix seconds, so that a second restore of one backup supersedes the first.
	incarnation := max(d.state.Incarnation+1, uint64(max(0, d.now.Unix())))
	d.endOver()
	d.emit(IncarnationBegun{Incarnation: incarnation,
		IPv4: d.state.IPv4.Skip(skipAddresses), IPv6: d.state.IPv6.Skip(skipAddresses)})
	d.record("mesh.incarnation", fmt.Sprint(incarnation), "after %d: %s", d.before.Incarnation, c.Reason)
	for _, l := range d.state.SortedLocals() { // a backup has links that were used since
		d.unlink(l, "a backup was restored")
	}
	return nil
}

func (c Note) decide(d *decision) error {
	for what, text := range map[string]string{"action": c.Action, "object": c.Object} {
		if err := checkWord("audit "+what, text); err != nil {
			return err
		}
	}
	if len(c.Detail) > 4096 || c.Action == "" {
		return invalid("audit note", c.Action, "an action, and a detail of at most 4096 bytes")
	}
	d.record(c.Action, c.Object, "%s", c.Detail)
	return nil
}
