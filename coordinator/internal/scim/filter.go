package scim

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

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
	for _, name := range []string{"count", "startIndex"} {
		if _, err := strconv.Atoi(q.Get(name)); err != nil && q.Get(name) != "" {
			return invalid(scimerrors.ScimTypeInvalidValue, "%s is %.64q: want a number", name, q.Get(name))
		}
	}
	for _, name := range []string{"attributes", "excludedAttributes", "sortBy"} {
		if len(q.Get(name)) > maxFilter {
			return invalid(scimerrors.ScimTypeInvalidValue, "%s of %d bytes: want at most %d", name, len(q.Get(name)), maxFilter)
		}
	}
	text := q.Get("filter")
	if len(q["filter"]) > 1 {
		return invalid(scimerrors.ScimTypeInvalidFilter, "two filters: readers differ in which of them counts")
	}
	if len(text) > maxFilter {
		return invalid(scimerrors.ScimTypeInvalidFilter, "filter of %d bytes: want at most %d", len(text), maxFilter)
	}
	if err := checkFilter(text); err != nil {
		return invalid(scimerrors.ScimTypeInvalidFilter, "%v", err)
	}
	return nil
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

// subject is what a filter can ask of a person or a group. What is empty is not there, and
// equals nothing.
type subject struct {
	id, external string
	login, email string
	name         string
	members      []string // ids
	active       bool
	changed      time.Time
}

// equals compares an attribute, of people or groups, with a text. Names that people gave
// have no letter case (RFC 7643 section 4.1.1), ids do. nil: there is no such attribute.
func equals(attribute, value string, people bool) condition {
	name := func(of func(s *subject) string) condition {
		return func(s *subject) bool { return value != "" && strings.EqualFold(of(s), value) }
	}
	switch {
	case attribute == "id":
		return func(s *subject) bool { return s.id == value }
	case attribute == "externalid":
		return func(s *subject) bool { return value != "" && s.external == value }
	case attribute == "displayname":
		return name(func(s *subject) string { return s.name })
	case attribute == "username" && people:
		return name(func(s *subject) string { return s.login })
	case attribute == "emails" && people:
		return name(func(s *subject) string { return s.email })
	case attribute == "members" && !people:
		return func(s *subject) bool { return slices.Contains(s.members, value) }
	}
	return nil
}

// condition tells whether a filter holds of something.
type condition func(s *subject) bool

// filterOf reads a filter on people, or else on groups. What directories send is
// understood: names and ids that equal something, who is active, what has changed since,
// joined by "and" and "or". Anything else is refused. It never finds nothing instead: a
// directory would take that for nobody, and make a second record.
func filterOf(p standard.ListRequestParams, people bool) (condition, error) {
	if p.FilterValidator == nil {
		return func(*subject) bool { return true }, nil
	}
	return conditionOf(p.FilterValidator.GetFilter(), people)
}

func conditionOf(e filter.Expression, people bool) (condition, error) {
	switch e := e.(type) {
	case *filter.AttributeExpression:
		return comparison(e, people)
	case *filter.ValuePath:
		return inside(e, people)
	case *filter.LogicalExpression:
		left, err := conditionOf(e.Left, people)
		if err != nil {
			return nil, err
		}
		right, err := conditionOf(e.Right, people)
		if e.Operator == filter.OR {
			return func(s *subject) bool { return left(s) || right(s) }, err
		}
		return func(s *subject) bool { return left(s) && right(s) }, err
	}
	return nil, scimerrors.ScimErrorInvalidFilter
}

// comparison is of one attribute.
func comparison(e *filter.AttributeExpression, people bool) (condition, error) {
	name, sub := strings.ToLower(e.AttributePath.AttributeName), strings.ToLower(e.AttributePath.SubAttributeName())
	if name == "meta" && sub == "lastmodified" {
		return since(e)
	}
	many := name == "emails" || name == "members"
	if e.Operator != filter.EQ || sub != "" && !(many && sub == "value") {
		return nil, scimerrors.ScimErrorInvalidFilter
	}
	if name == "active" && people {
		return isActive(e.CompareValue)
	}
	value, isText := e.CompareValue.(string)
	if holds := equals(name, value, people); isText && holds != nil {
		return holds, nil
	}
	return nil, scimerrors.ScimErrorInvalidFilter
}

// isActive takes also a text, as Entra ID has it everywhere.
func isActive(value any) (condition, error) {
	switch text := strings.ToLower(fmt.Sprint(value)); text {
	case "true", "false":
		return func(s *subject) bool { return s.active == (text == "true") }, nil
	}
	return nil, scimerrors.ScimErrorInvalidFilter
}

// since compares when something was changed last.
func since(e *filter.AttributeExpression) (condition, error) {
	text, _ := e.CompareValue.(string)
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return nil, scimerrors.ScimErrorInvalidFilter
	}
	wanted := map[filter.CompareOperator][]int{filter.EQ: {0}, filter.GT: {1}, filter.GE: {0, 1}, filter.LT: {-1}, filter.LE: {-1, 0}}[e.Operator]
	if wanted == nil {
		return nil, scimerrors.ScimErrorInvalidFilter
	}
	return func(s *subject) bool { return slices.Contains(wanted, s.changed.Compare(at)) }, nil
}

// inside is a condition on the values of one attribute: members[value eq "x"], and
// emails[type eq "work" and value eq "x"], of which we keep one, that of work.
func inside(e *filter.ValuePath, people bool) (condition, error) {
	name := strings.ToLower(e.AttributePath.AttributeName)
	if both, ok := e.ValueFilter.(*filter.LogicalExpression); ok && name == "emails" && both.Operator == filter.AND {
		if one, err := equalityOf(both.Left); err == nil && isWork(one) {
			return inside(&filter.ValuePath{AttributePath: e.AttributePath, ValueFilter: both.Right}, people)
		}
	}
	one, err := equalityOf(e.ValueFilter)
	if err != nil || !strings.EqualFold(one.name, "value") || name != "emails" && name != "members" {
		return nil, scimerrors.ScimErrorInvalidFilter
	}
	return comparison(&filter.AttributeExpression{AttributePath: e.AttributePath, Operator: filter.EQ, CompareValue: one.value}, people)
}

func isWork(e equality) bool {
	return strings.EqualFold(e.name, "type") && strings.EqualFold(e.value, "work")
}

// ofWork is how Entra ID asks for somebody's address; the standard has no such filter. It
// is in no text that is compared with: there, a quotation mark has a backslash.
var ofWork = regexp.MustCompile(`(?i)\bemails\[\s*type\s+eq\s+"work"\s*\]\.value\b`)

// standardFilter gives a query whose filter is one of the standard.
func standardFilter(q url.Values) url.Values {
	if text := q.Get("filter"); text != "" {
		q.Set("filter", ofWork.ReplaceAllString(text, "emails.value"))
	}
	return q
}

// page gives the part of a list that was asked for.
func page[T any](all []T, p standard.ListRequestParams) []T {
	begin := min(max(p.StartIndex, 1)-1, len(all))
	return all[begin : begin+min(max(p.Count, 0), len(all)-begin)]
}
