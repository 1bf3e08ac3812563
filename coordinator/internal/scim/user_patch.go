package scim

import (
	"strings"

	standard "github.com/elimity-com/scim"
	scimerrors "github.com/elimity-com/scim/errors"
	filter "github.com/scim2/filter-parser/v2"

	"github.com/cordonmesh/cordon/coordinator/internal/registry"
)

// patchUser adds one operation of a patch to what is to be done. Later ones overrule.
func patchUser(c *registry.ProvisionUser, op standard.PatchOperation) error {
	if op.Path != nil {
		name, sub := strings.ToLower(op.Path.AttributePath.AttributeName), op.Path.AttributePath.SubAttributeName()
		if sub == "" {
			sub = op.Path.SubAttributeName()
		}
		if kept, err := ofKept(op.Path.ValueExpression); !kept {
			return err
		}
		return setUser(c, op.Op, name, strings.ToLower(sub), op.Value)
	}
	values, ok := op.Value.(map[string]any)
	if !ok {
		return scimerrors.ScimErrorInvalidValue
	}
	for path, v := range values {
		name, sub, _ := strings.Cut(strings.ToLower(path), ".")
		if err := setUser(c, op.Op, name, sub, v); err != nil {
			return err
		}
	}
	return nil
}

// ofKept tells whether a path is about the one address that is kept: that of work, or the
// primary one. Another one changes nothing: a login may be the address.
func ofKept(e filter.Expression) (bool, error) {
	if e == nil {
		return true, nil
	}
	a, ok := e.(*filter.AttributeExpression)
	if ok && a.Operator == filter.EQ && strings.EqualFold(a.AttributePath.AttributeName, "primary") {
		return a.CompareValue == true, nil
	}
	one, err := equalityOf(e)
	if err != nil || !strings.EqualFold(one.name, "type") {
		return false, scimerrors.ScimErrorInvalidPath
	}
	return isWork(one), nil
}

func setUser(c *registry.ProvisionUser, op, name, sub string, v any) error {
	if op == standard.PatchOperationRemove {
		return removeOfUser(c, name)
	}
	text := textOf(v)
	switch {
	case name == "active":
		active, ok := v.(bool)
		if !ok {
			return scimerrors.ScimErrorInvalidValue
		}
		c.Active = &active
	case name == "emails" && text == nil:
		setEmail(c, op, v)
	case name == "emails":
		if sub == "value" {
			c.Email = text
		}
	case name == "name" && text == nil:
		if m, ok := v.(map[string]any); ok && c.Name == nil {
			c.Name = fullName(m)
		}
	case name == "name":
		if sub == "formatted" && c.Name == nil {
			c.Name = text
		}
	case text == nil:
		return scimerrors.ScimErrorInvalidValue
	case name == "username":
		c.UserName = text
	case name == "externalid":
		c.External = text
	case name == "displayname":
		c.Name = text
	}
	return nil
}

// setEmail takes over a list of addresses, or one. Where some are added to others, one that
// is neither the primary nor of work is beside that which is kept.
func setEmail(c *registry.ProvisionUser, op string, v any) {
	list, isList := v.([]any)
	if !isList {
		list = []any{v}
	}
	best, rank := bestEmail(list)
	if isList && op == standard.PatchOperationAdd && rank < ofWorkRank {
		return
	}
	c.Email = best
}

// removeOfUser takes away what a person need not have. That a person is active or
// not is said, and never left open.
func removeOfUser(c *registry.ProvisionUser, name string) error {
	switch name {
	case "emails":
		c.Email = new(string)
	case "displayname":
		c.Name = new(string)
	case "externalid":
		c.External = new(string)
	case "username", "active":
		return scimerrors.ScimErrorMutability
	}
	return nil
}
