package policy

import (
	"slices"
	"strings"
)

// TagName gives the one spelling of a tag's name, in which tags are compared, kept and
// shown: its letter case does not count. Any other text stays as it is.
//
// It folds ASCII alone, of which tags are: by Unicode's rules, the sign for a kelvin
// would be a k, and a tag that only looks like another one would be that one.
func TagName(text string) string {
	if !strings.HasPrefix(text, "tag:") {
		return text
	}
	return strings.Map(func(c rune) rune {
		if 'A' <= c && c <= 'Z' {
			return c + 'a' - 'A'
		}
		return c
	}, text)
}

// TagNames gives a copy of a list of tags, each as [TagName] has it.
func TagNames(tags []string) []string {
	names := slices.Clone(tags)
	for i, tag := range names {
		names[i] = TagName(tag)
	}
	return names
}
