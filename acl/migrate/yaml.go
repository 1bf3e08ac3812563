package migrate

import (
	"bytes"
	"errors"
	"regexp"
)

// ErrYAML tells that a file is YAML, as policies of headscale could be up to 0.22.
var ErrYAML = errors.New("it is YAML, and a policy is JSON with comments")

// isYAML tells whether a text that is no JSON looks like YAML: it begins with a
// document, a comment or a key that has no quotes.
func isYAML(text []byte) bool {
	text = bytes.TrimSpace(text)
	return bytes.HasPrefix(text, []byte("---")) || bytes.HasPrefix(text, []byte("#")) ||
		regexp.MustCompile(`^["']?[A-Za-z]+["']?[ \t]*:`).Match(text)
}
