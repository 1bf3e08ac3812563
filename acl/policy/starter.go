package policy

import _ "embed"

//go:embed starter.hujson
var starter string

// Starter is the text of the policy that a new coordinator begins with: it
// denies all, and its comments teach the language.
func Starter() string { return starter }
