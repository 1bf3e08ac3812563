package scim

import (
	"slices"
	"strings"

	standard "github.com/elimity-com/scim"
	scimerrors "github.com/elimity-com/scim/errors"

	"github.com/cordonmesh/cordon/coordinator/internal/registry"
)

// patchGroup adds one operation of a patch to what is to be done. Later ones overrule.
func patchGroup(c *registry.ProvisionGroup, op standard.PatchOperation) error {
	if op.Path == nil {
		values, ok := op.Value.(map[string]any)
		if !ok {
			return scimerrors.ScimErrorInvalidValue
		}
		for name, v := range values {
			if err := setGroup(c, op.Op, strings.ToLower(name), v); err != nil {
				return err
			}
		}
		return nil
	}
	name := strings.ToLower(op.Path.AttributePath.AttributeName)
	if op.Path.ValueExpression == nil {
		return setGroup(c, op.Op, name, op.Value)
	}
	// Okta, and the standard itself, name one member of those that go by a filter.
	one, err := equalityOf(op.Path.ValueExpression)
	if err != nil || name != "members" || !strings.EqualFold(one.name, "value") || op.Op != standard.PatchOperationRemove || op.Path.SubAttribute != nil {
		return scimerrors.ScimErrorInvalidPath
	}
	leave(c, []string{one.value})
	return nil
}

func setGroup(c *registry.ProvisionGroup, op, name string, v any) error {
	if name == "members" {
		patchMembers(c, op, v)
		return nil
	}
	text := textOf(v)
	switch {
	case op == standard.PatchOperationRemove && name == "externalid":
		c.External = new(string)
	case text == nil || op == standard.PatchOperationRemove:
		return scimerrors.ScimErrorInvalidValue
	case name == "displayname":
		c.Name = text
	case name == "externalid":
		c.External = text
	}
	return nil
}

func patchMembers(c *registry.ProvisionGroup, op string, v any) {
	switch {
	case op == standard.PatchOperationReplace:
		ids := idsOf(v)
		c.Members, c.Add, c.Remove = &ids, nil, nil
	case op == standard.PatchOperationAdd:
		join(c, idsOf(v))
	case v == nil:
		c.Members, c.Add, c.Remove = &[]string{}, nil, nil
	default:
		leave(c, idsOf(v)) // Entra ID names those that go as a value
	}
}

func join(c *registry.ProvisionGroup, ids []string) {
	if c.Members != nil {
		*c.Members = append(*c.Members, ids...)
		return
	}
	c.Add = append(c.Add, ids...)
	c.Remove = without(c.Remove, ids)
}

func leave(c *registry.ProvisionGroup, ids []string) {
	if c.Members != nil {
		*c.Members = without(*c.Members, ids)
		return
	}
	c.Remove = append(c.Remove, ids...)
	c.Add = without(c.Add, ids)
}

func without(list, ids []string) []string {
	gone := map[string]bool{}
	for _, id := range ids {
		gone[id] = true
	}
	return slices.DeleteFunc(list, func(id string) bool { return gone[id] })
}
