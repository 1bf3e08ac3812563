package query_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// differences says in which sections an answer is not as wanted. A message is
// compared by what it contains, and only if one is wanted; the groups of caps
// are a set.
func differences(have, want []byte) []string {
	var h, w map[string]any
	if err := json.Unmarshal(have, &h); err != nil {
		return []string{"the answer is not JSON: " + err.Error()}
	}
	if err := json.Unmarshal(want, &w); err != nil {
		return []string{"the wanted answer is not JSON: " + err.Error()}
	}
	if h["id"] != w["id"] || h["compile"] != w["compile"] {
		return []string{fmt.Sprintf("id %v, compile %v: want %v, %v", h["id"], h["compile"], w["id"], w["compile"])}
	}
	if h["compile"] != "ok" {
		text, _ := h["message"].(string)
		if part, _ := w["message"].(string); text == "" || !strings.Contains(text, part) {
			return []string{fmt.Sprintf("message %q: want one with %q", text, part)}
		}
		return nil
	}
	var diffs []string
	for _, section := range []string{"reach", "peers", "routes", "caps", "ssh", "attrs", "approve"} {
		a, b := sorted(section, h[section]), sorted(section, w[section])
		if !reflect.DeepEqual(a, b) {
			diffs = append(diffs, fmt.Sprintf("%s: %s\nwant %s", section, mustJSON(a), mustJSON(b)))
		}
	}
	return diffs
}

// sorted puts the groups of caps in an order of their own.
func sorted(section string, value any) any {
	groups, ok := value.([]any)
	if section != "caps" || !ok {
		return value
	}
	slices.SortFunc(groups, func(a, b any) int {
		return strings.Compare(string(mustJSON(a)), string(mustJSON(b)))
	})
	return groups
}
