package scim

import (
	"fmt"
	"net/url"
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

// equality is a filter: a name that equals a value. The zero value is none.
type equality struct{ name, value string }

func filterOf(p standard.ListRequestParams, names ...string) (equality, error) {
	if p.FilterValidator == nil {
		return equality{}, nil
	}
	e, err := equalityOf(p.FilterValidator.GetFilter())
	if err != nil {
		return e, err
	}
	for _, n := range names {
		if strings.EqualFold(n, e.name) {
			return equality{n, e.value}, nil
		}
	}
	return e, scimerrors.ScimErrorInvalidFilter
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

// page gives the part of a list that was asked for.
func page[T any](all []T, p standard.ListRequestParams) []T {
	begin := min(max(p.StartIndex, 1)-1, len(all))
	return all[begin : begin+min(max(p.Count, 0), len(all)-begin)]
}
