package osnet

import (
	"errors"
	"fmt"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// rule sends what does not carry our mark to our table. What finds nothing
// there goes on to the main table as if we were not here.
func (n *Network) rule(family int) *netlink.Rule {
	mask := ^uint32(0)
	r := netlink.NewRule()
	r.Family, r.Priority, r.Table = family, n.cfg.Priority, int(n.cfg.Table)
	r.Invert, r.Mark, r.Mask = true, n.cfg.Mark, &mask
	return r
}

func (n *Network) setRules() error {
	var errs []error
	for _, family := range n.families() {
		there, err := n.hasRule(family)
		if err == nil && !there {
			if err = n.nl.RuleAdd(n.rule(family)); errors.Is(err, unix.EEXIST) {
				err = nil
			}
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("osnet: add the routing rule for %s: %w%s", n.cfg.Name, err, hint(err)))
		}
	}
	return errors.Join(errs...)
}

func (n *Network) hasRule(family int) (bool, error) {
	list, err := n.nl.RuleList(family)
	if err != nil {
		return false, err
	}
	for _, r := range list {
		if n.isOurs(r) {
			return true, nil
		}
	}
	return false, nil
}

func (n *Network) isOurs(r netlink.Rule) bool {
	return r.Table == int(n.cfg.Table) && r.Priority == n.cfg.Priority && r.Invert && r.Mark == n.cfg.Mark
}

func (n *Network) removeRules() error {
	var errs []error
	for _, family := range n.families() {
		there, err := n.hasRule(family)
		if err == nil && there {
			err = n.nl.RuleDel(n.rule(family))
		}
		if err != nil && !errors.Is(err, unix.ENOENT) {
			errs = append(errs, fmt.Errorf("osnet: remove the routing rule for %s: %w", n.cfg.Name, err))
		}
	}
	return errors.Join(errs...)
}
