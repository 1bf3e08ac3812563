package registry

import (
	"errors"

	"github.com/cordonmesh/cordon/acl/policy"
)

// What callers branch on. Each error that wraps one of these says more.
var (
	ErrUninitialised = errors.New("the mesh is not initialised")  // before Init
	ErrInitialised   = errors.New("the mesh is initialised")      // a second Init
	ErrInvalid       = errors.New("not valid")                    // an argument that no state would accept
	ErrNotFound      = errors.New("not found")                    // no such node, token, route
	ErrExists        = errors.New("exists already")               // an id or secret that is taken
	ErrToken         = errors.New("token refused")                // unknown, spent, expired, revoked, of another kind
	ErrRevokedKey    = errors.New("node key was revoked")         // a removed node's key
	ErrKnownKey      = errors.New("node key is already enrolled") // and not by this token
	ErrStale         = errors.New("changed meanwhile")            // an older statement; a policy edited by somebody else
	ErrUnconfirmed   = errors.New("awaits confirmation")          // the policy in force: nothing replaces it before
	ErrPolicy        = errors.New("policy refused")               // see PolicyError
	ErrUser          = errors.New("person refused")               // disabled, or not who may sign in there
	ErrForbidden     = errors.New("not permitted")                // to an actor who lacks a scope, or lacks it by now
	ErrLastOwner     = errors.New("the last owner")               // and must not be taken away
	ErrReplayed      = errors.New("counted already")              // a proof, of which each counts once
	ErrExhausted     = errors.New("no address left")              // in one of the ranges
)

// What happens to a journal, and so to every command that waited for it.
var (
	// ErrConflict: the journal is not at the expected revision, because another
	// registry wrote to it. The Registry tails it and decides again.
	ErrConflict = errors.New("the journal moved on")
	// ErrPruned: the journal no longer has the entries that Tail was asked for.
	ErrPruned = errors.New("the journal's older entries are gone")
	// ErrFull: no space left. Nothing changed; the next command may succeed.
	ErrFull = errors.New("no space left for the journal")
	// ErrFailed: the disk failed, and what is on it is unknown. The Registry
	// writes no more; the process has to start again and look.
	ErrFailed = errors.New("the journal failed")
	// ErrClosed: the registry has stopped.
	ErrClosed = errors.New("the registry has stopped")
)

// PolicyError is a policy text that was refused, with everything that is wrong.
type PolicyError struct {
	Err      error // what policy.Parse said
	Warnings []policy.Warning
}

// Error gives all complaints.
func (e *PolicyError) Error() string { return ErrPolicy.Error() + ": " + e.Err.Error() }

// Unwrap gives ErrPolicy and the parser's error.
func (e *PolicyError) Unwrap() []error { return []error{ErrPolicy, e.Err} }
