package scim

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	standard "github.com/elimity-com/scim"
	scimerrors "github.com/elimity-com/scim/errors"
	filter "github.com/scim2/filter-parser/v2"
)

// maxFilter bounds, in bytes, a filter and a path. The parser of both tries one way
// after another, and goes as deep as brackets do.
const (
	maxFilter   = 600
	maxBrackets = 2
)

func checkQuery(q url.Values) error {
	for _, name := range []string{"filter", "attributes", "excludedAttributes", "sortBy"} {
		if len(q.Get(name)) > maxFilter {
			return fmt.Errorf("%s of %d bytes: want at most %d", name, len(q.Get(name)), maxFilter)
		}
	}
	return checkFilter(q.Get("filter"))
}

// checkFilter refuses nesting before somebody has to follow it.
func checkFilter(text string) error {
	quoted, brackets := false, 0
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case !quoted && (c == '(' || c == '['):
			brackets++
		}
	}
	if brackets > maxBrackets || quoted {
		return fmt.Errorf("a filter with more than %d brackets, or a quotation mark that stands alone", maxBrackets)
	}
	return nil
}

// equality is a condition: a name that equals a value.
type equality struct{ name, value string }

// conditions is a filter: equalities that must all hold. None: everything is found.
type conditions []equality

// filterOf reads a filter on some names. Directories send one equality, or several that
// are joined by "and"; what else could be said finds many at once, and nobody needs it.
func filterOf(p standard.ListRequestParams, names ...string) (conditions, error) {
	if p.FilterValidator == nil {
		return nil, nil
	}
	all, err := conditionsOf(p.FilterValidator.GetFilter())
	if err != nil {
		return nil, err
	}
	for i, e := range all {
		at := slices.IndexFunc(names, func(n string) bool { return strings.EqualFold(n, e.name) })
		if at < 0 {
			return nil, scimerrors.ScimErrorInvalidFilter
		}
		all[i].name = names[at]
	}
	return all, nil
}

func conditionsOf(e filter.Expression) (conditions, error) {
	both, ok := e.(*filter.LogicalExpression)
	if !ok {
		one, err := equalityOf(e)
		return conditions{one}, err
	}
	if both.Operator != filter.AND {
		return nil, scimerrors.ScimErrorInvalidFilter
	}
	left, err := conditionsOf(both.Left)
	if err != nil {
		return nil, err
	}
	right, err := conditionsOf(both.Right)
	return append(left, right...), err
}

func equalityOf(e filter.Expression) (equality, error) {
	a, ok := e.(*filter.AttributeExpression)
	if !ok || a.Operator != filter.EQ || a.AttributePath.SubAttribute != nil {
		return equality{}, scimerrors.ScimErrorInvalidFilter
	}
	value, ok := a.CompareValue.(string)
	if !ok {
		return equality{}, scimerrors.ScimErrorInvalidFilter
	}
	return equality{a.AttributePath.AttributeName, value}, nil
}

// hold tells whether all conditions hold of something, given what it is called by.
// Names that people gave have no letter case (RFC 7643 section 4.1.1), ids do.
func (all conditions) hold(id, external string, given equality) bool {
	for _, e := range all {
		ok := false
		switch e.name {
		case "id":
			ok = e.value == id
		case "externalId":
			ok = e.value == external
		case given.name:
			ok = strings.EqualFold(e.value, given.value)
		}
		if !ok {
			return false
		}
	}
	return true
}

// page gives the part of a list that was asked for.
func page[T any](all []T, p standard.ListRequestParams) []T {
	begin := min(max(p.StartIndex, 1)-1, len(all))
	return all[begin : begin+min(max(p.Count, 0), len(all)-begin)]
}
