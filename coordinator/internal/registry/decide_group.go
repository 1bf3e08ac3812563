package registry

import (
	"fmt"
	"slices"
	"strings"
)

const maxProvisionedGroups = 10_000

func (c ProvisionGroup) decide(d *decision) error {
	g, err := c.group(d)
	if err != nil {
		return err
	}
	if err := c.check(d, g); err != nil {
		return err
	}
	old, known := d.state.Group(g.ID)
	if !known || *old != *g {
		g.Changed = d.now
		g.By, _ = tokenOf(d.actor)
		d.emit(GroupPut{Group: *g})
		d.record("scim.group", g.ID, "name %q, externalId %q", g.Name, g.External)
		d.regroup()
	}
	d.members(g, c)
	d.result.Group, _ = d.state.Group(g.ID)
	return nil
}

func (c ProvisionGroup) group(d *decision) (*Group, error) {
	known, ok := d.state.Group(c.ID)
	g := Group{ID: c.ID, Created: d.now}
	switch {
	case !c.New && !ok:
		return nil, fmt.Errorf("group %q: %w", shorten(c.ID), ErrNotFound)
	case c.New && (ok || !isID(c.ID)):
		return nil, invalid("id of a group", c.ID, "1 to 64 letters, digits or '-', that is new")
	case c.New && d.state.groups.Len() >= maxProvisionedGroups:
		return nil, fmt.Errorf("%d groups: %w: more are not kept", maxProvisionedGroups, ErrInvalid)
	case ok:
		g = *known
	}
	if c.Name != nil {
		g.Name = *c.Name
	}
	if c.External != nil {
		g.External = *c.External
	}
	return &g, nil
}

func (c ProvisionGroup) check(d *decision, g *Group) error {
	for _, text := range []string{g.Name, g.External} {
		if len(text) > maxName || strings.ContainsFunc(text, odd) {
			return invalid("displayName or externalId", text, fmt.Sprintf("at most %d bytes of printable UTF-8", maxName))
		}
	}
	if g.Name == "" {
		return invalid("displayName", "", "the name by which the policy knows the group, after idp:")
	}
	if id, taken := d.state.groupNames.Get(groupKey(g.Name)); taken && id != g.ID {
		return fmt.Errorf("group %q: %w: a group of that name is provisioned (%s)", g.Name, ErrExists, id)
	}
	return nil
}

// members puts people into the group, and takes others out.
func (d *decision) members(g *Group, c ProvisionGroup) {
	add, remove := sortedSet(c.Add), sortedSet(c.Remove)
	if c.Members != nil {
		wanted := sortedSet(*c.Members)
		add, remove = wanted, slices.DeleteFunc(d.state.Members(g.ID), func(r string) bool { _, keep := slices.BinarySearch(wanted, r); return keep })
	}
	for _, record := range add {
		if _, out := slices.BinarySearch(remove, record); !out {
			d.member(g, record, true)
		}
	}
	for _, record := range remove {
		d.member(g, record, false)
	}
}

func (d *decision) member(g *Group, record string, in bool) {
	u, ok := d.state.Provisioned(record)
	if !ok {
		d.warn("group %q names the record %q, which is not there", g.Name, shorten(record))
		return
	}
	at, is := slices.BinarySearch(u.Provision.Groups, g.ID)
	if is == in || in && len(u.Provision.Groups) >= maxGroups {
		return
	}
	p := *u.Provision
	if p.Groups = slices.Clone(p.Groups); in {
		p.Groups = slices.Insert(p.Groups, at, g.ID)
	} else {
		p.Groups = slices.Delete(p.Groups, at, at+1)
	}
	p.Changed = d.now
	p.By, _ = tokenOf(d.actor)
	d.emit(UserPut{User: d.state.with(*u, p)})
	d.record("scim.member", u.ID, "%s in group %q: %t", u.Login, g.Name, in)
}

// regroup gives everybody the groups that they have after some came, went or changed
// their name.
func (d *decision) regroup() {
	for _, u := range d.state.SortedUsers() {
		if u.Provision == nil {
			continue
		}
		p := *u.Provision
		p.Groups = slices.DeleteFunc(slices.Clone(p.Groups), func(id string) bool { _, ok := d.state.Group(id); return !ok })
		if next := d.state.with(*u, p); !next.equal(u) {
			d.emit(UserPut{User: next})
		}
	}
}

func (c DeprovisionGroup) decide(d *decision) error {
	g, ok := d.state.Group(c.ID)
	if !ok {
		return fmt.Errorf("group %q: %w", shorten(c.ID), ErrNotFound)
	}
	d.emit(GroupDropped{ID: g.ID})
	d.record("scim.group.drop", g.ID, "name %q", g.Name)
	d.regroup()
	return nil
}
