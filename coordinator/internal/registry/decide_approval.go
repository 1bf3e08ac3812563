package registry

import (
	"fmt"
	"strings"
)

func (c ApproveNode) decide(d *decision) error {
	n, err := d.node(c.Node)
	if err != nil {
		return err
	}
	if c.Fingerprint != "" && spoken(c.Fingerprint) != spoken(n.ID) {
		return d.refuse("node.approve", n.ID, fmt.Errorf("%w: %s has another fingerprint, %s: whoever read that out sits at another machine",
			ErrInvalid, n.Name, n.ID))
	}
	next := n.copy()
	next.Approved = true
	d.vouch(n, next)
	d.change(n, next, "node.approve")
	return nil
}

func (c HoldNode) decide(d *decision) error {
	n, err := d.node(c.Node)
	if err != nil {
		return err
	}
	if !n.Approved {
		d.result.Node = n
		return nil
	}
	next := n.copy()
	next.Approved = false
	d.change(n, next, "node.hold")
	d.endAt(n, "the machine was shut out")
	return nil
}

// spoken gives a fingerprint as it counts, however somebody read it out and wrote
// it down. Nothing of it may be left out: a part of one can be found by trying keys.
func spoken(fingerprint string) string {
	fold := strings.NewReplacer(" ", "", "-", "", ":", "", "\t", "")
	return strings.TrimPrefix(fold.Replace(strings.ToLower(fingerprint)), "n")
}

func (c RejectNode) decide(d *decision) error {
	n, err := d.node(c.Node)
	if err != nil {
		return err
	}
	if n.Approved {
		return fmt.Errorf("%s does not wait for approval: %w: to take a node away that is in, remove it", n.Name, ErrInvalid)
	}
	d.remove(n, "node.reject")
	return nil
}
