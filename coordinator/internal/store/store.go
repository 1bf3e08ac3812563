// Package store names what every store of the coordinator has in common. Its
// folders each fulfil registry.Journal on one database; storetest is the suite
// that any of them must pass.
//
// It leaves to them how bytes get to disk and who may open them, and to the
// registry what the bytes mean.
package store

import "fmt"

// Error is a store that can't be used or written as it stands. It wraps the
// registry's sentinel, if callers are to branch on it.
type Error struct {
	Op   string // what was attempted: "open", "append"
	Path string // on which file or database
	Err  error  // why it failed
	Hint string // what to do; may be empty
}

// Error tells it in one line.
func (e *Error) Error() string {
	text := fmt.Sprintf("store %s: %s: %v", e.Path, e.Op, e.Err)
	if e.Hint != "" {
		text += "; " + e.Hint
	}
	return text
}

// Unwrap gives the reason.
func (e *Error) Unwrap() error { return e.Err }
