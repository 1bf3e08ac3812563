package scim

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"

	scimerrors "github.com/elimity-com/scim/errors"
)

const (
	maxDepth  = 12
	maxValues = 50_000 // of a body, names of objects among them
)

// standardise gives a body as the standard has it, or says why it is none. What is
// not kept is left out, so that it hinders nothing.
func standardise(body []byte, group bool) ([]byte, error) {
	if err := bounded(body); err != nil {
		return nil, err
	}
	var m map[string]any
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	if err := d.Decode(&m); err != nil || m == nil {
		return nil, invalid(scimerrors.ScimTypeInvalidSyntax, "the body is no JSON object")
	}
	ops, at := operations(m)
	spellBooleans(m)
	if at == "" {
		if name, hides := hidden(m, group, false); hides {
			return nil, errHidden(scimerrors.ScimTypeInvalidSyntax, name)
		}
		return json.Marshal(m)
	}
	kept, err := keep(ops, group)
	if err != nil {
		return nil, err
	}
	m[at] = kept
	return json.Marshal(m)
}

// operations gives those of a patch, with the names in them as the standard has them, and
// where they are: readers take these names in whatever case, and we look at them before.
func operations(m map[string]any) (ops []any, at string) {
	for name, v := range m {
		if list, ok := v.([]any); ok && strings.EqualFold(name, "operations") {
			ops, at = list, name
		}
	}
	for i, o := range ops {
		op, isObject := o.(map[string]any)
		if !isObject {
			continue
		}
		spelled := map[string]any{}
		for name, v := range op {
			spelled[strings.ToLower(name)] = v
		}
		ops[i] = spelled
	}
	return ops, at
}

// bounded refuses what is deep, wide, or has a name twice in one object, in whatever
// case: readers differ in which of the two counts.
func bounded(body []byte) error {
	d := json.NewDecoder(bytes.NewReader(body))
	values := 0
	if err := boundedValue(d, maxDepth, &values); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return invalid(scimerrors.ScimTypeInvalidSyntax, "more follows the JSON value")
	}
	return nil
}

func boundedValue(d *json.Decoder, depth int, values *int) error {
	t, err := d.Token()
	if *values++; err != nil || depth == 0 || *values > maxValues {
		return invalid(scimerrors.ScimTypeInvalidSyntax, "the body is no JSON of at most %d values, %d deep", maxValues, maxDepth)
	}
	open, ok := t.(json.Delim)
	if !ok {
		return nil
	}
	names := map[string]bool{}
	for d.More() {
		if open == '{' {
			t, err := d.Token()
			name, ok := t.(string)
			if key := strings.ToLower(name); err != nil || !ok || names[key] {
				return invalid(scimerrors.ScimTypeInvalidSyntax, "the body is no JSON, or has the name %.64q twice", name)
			} else {
				names[key] = true
			}
		}
		if err := boundedValue(d, depth-1, values); err != nil {
			return err
		}
	}
	if _, err = d.Token(); err != nil {
		return invalid(scimerrors.ScimTypeInvalidSyntax, "the body is no JSON")
	}
	return nil
}

// spellBooleans makes booleans of "True" and "False" where the standard has those:
// Entra ID sends texts.
func spellBooleans(v any) {
	switch v := v.(type) {
	case []any:
		for _, one := range v {
			spellBooleans(one)
		}
	case map[string]any:
		path, _ := v["path"].(string)
		for name, one := range v {
			ofBoolean := strings.EqualFold(bare(name), "active") || strings.EqualFold(name, "primary") ||
				name == "value" && strings.EqualFold(bare(path), "active")
			if text, ok := one.(string); ok && ofBoolean && (strings.EqualFold(text, "true") || strings.EqualFold(text, "false")) {
				v[name] = strings.EqualFold(text, "true")
				continue
			}
			spellBooleans(one)
		}
	}
}

// keep gives the operations of a patch on what is kept. If none is left, it is one
// that changes nothing: the patch is done as soon as it came.
func keep(ops []any, group bool) ([]any, error) {
	kept := []any{}
	for _, o := range ops {
		op, ok := o.(map[string]any)
		if !ok {
			return nil, invalid(scimerrors.ScimTypeInvalidSyntax, "an operation is no object")
		}
		verb, _ := op["op"].(string)
		if !slices.Contains([]string{"add", "remove", "replace"}, strings.ToLower(verb)) {
			return nil, invalid(scimerrors.ScimTypeInvalidSyntax, "the operation %.64q is none of add, remove and replace", verb)
		}
		path, hasPath := op["path"].(string)
		if hasPath && len(path) > maxFilter {
			return nil, invalid(scimerrors.ScimTypeInvalidPath, "a path of %d bytes: want at most %d", len(path), maxFilter)
		}
		if hasPath && path != "" {
			if !isKept(path, group) {
				if means(path, group) || misspelt(path, group) {
					return nil, errHidden(scimerrors.ScimTypeInvalidPath, path)
				}
				continue
			}
			if err := checkFilter(path); err != nil {
				return nil, invalid(scimerrors.ScimTypeInvalidPath, "%v", err)
			}
			op["path"] = trimSchema(path)
		} else if value, ok := op["value"].(map[string]any); ok {
			if name, hides := hidden(value, group, true); hides {
				return nil, errHidden(scimerrors.ScimTypeInvalidSyntax, name)
			}
			op["value"] = keepNames(value, group)
		}
		kept = append(kept, op)
	}
	if len(kept) == 0 && len(ops) > 0 {
		kept = append(kept, map[string]any{"op": "add", "value": map[string]any{}})
	}
	return kept, nil
}

func keepNames(value map[string]any, group bool) map[string]any {
	kept := map[string]any{}
	for name, v := range value {
		if isKept(name, group) && !strings.ContainsAny(name, "[(") {
			kept[trimSchema(name)] = v
		}
	}
	return kept
}

// trimSchema drops the schema before a path, which is one of the two that we have.
func trimSchema(path string) string {
	for _, s := range []string{"urn:ietf:params:scim:schemas:core:2.0:user:", "urn:ietf:params:scim:schemas:core:2.0:group:"} {
		if len(path) > len(s) && strings.EqualFold(path[:len(s)], s) {
			return path[len(s):]
		}
	}
	return path
}

// bare gives the attribute that a path begins with.
func bare(path string) string {
	path = trimSchema(path)
	if at := strings.IndexAny(path, ".[ "); at >= 0 {
		return path[:at]
	}
	return path
}

func isKept(path string, group bool) bool {
	names := []string{"username", "externalid", "active", "displayname", "name", "emails"}
	if group {
		names = []string{"displayname", "externalid", "members"}
	}
	return slices.Contains(names, strings.ToLower(bare(path)))
}
