package registry

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/cordonmesh/cordon/acl/policy"
)

// Tags are the tags of a node, or of those that a token admits: as [policy.TagName] has
// them, sorted and without duplicates.
type Tags []string

// tagSet reads the tags that somebody asks for.
func tagSet(tags []string) (Tags, error) {
	if len(tags) > MaxTags {
		return nil, invalid("tags", fmt.Sprint(len(tags)), fmt.Sprintf("at most %d", MaxTags))
	}
	for _, tag := range tags {
		name, ok := strings.CutPrefix(policy.TagName(tag), "tag:")
		if !ok || !isLabel(name) {
			return nil, invalid("tag", tag, `"tag:" and letters, digits or '-'`)
		}
	}
	return tagsOf(tags), nil
}

func tagsOf(tags []string) Tags {
	names := policy.TagNames(tags)
	slices.Sort(names)
	return slices.Compact(names)
}

// UnmarshalJSON reads stored tags. Some stem from a time when their letter case counted,
// and are what the policy in force calls them none the less.
func (t *Tags) UnmarshalJSON(b []byte) error {
	var stored []string
	if err := json.Unmarshal(b, &stored); err != nil {
		return err
	}
	*t = tagsOf(stored)
	return nil
}
