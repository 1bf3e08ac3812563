package query_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"regexp"
	"strings"

	"pgregory.net/rapid"
)

// decodePolicy reads a policy with each tag in lower case: a tag is the same however its
// letters are written, and stands once among those that are owned.
func decodePolicy(text []byte) (p policyFile, err error) {
	var written struct{ TagOwners map[string]any }
	err = errors.Join(json.Unmarshal(text, &written), json.Unmarshal(tagText.ReplaceAllFunc(text, bytes.ToLower), &p))
	if err == nil && len(written.TagOwners) != len(p.TagOwners) {
		err = errors.New("a tag stands twice, in two spellings")
	}
	return p, err
}

var tagText = regexp.MustCompile(`tag:[A-Za-z0-9-]+`)

// shout writes some tags of a question in capitals; of a login that only looks like a tag
// letter case counts, and it stays.
func (d *drawer) shout() {
	if !d.chance("capitals", 40) {
		return
	}
	loud := func(tag string) string {
		if rapid.Bool().Draw(d.t, tag) {
			return "tag:" + strings.ToUpper(strings.TrimPrefix(tag, "tag:"))
		}
		return tag
	}
	d.q.Policy = regexp.MustCompile(`tag:(a|b|r|none|nope)\b`).ReplaceAllStringFunc(d.q.Policy, loud)
	for _, n := range d.q.Nodes {
		for i, tag := range n.Tags {
			n.Tags[i] = loud(tag)
		}
	}
}
