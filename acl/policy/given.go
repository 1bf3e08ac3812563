package policy

import (
	"time"

	"github.com/cordonmesh/cordon/acl"
)

// Given is what a test supposes of its made-up person and device.
type Given struct {
	At         time.Time // zero: now
	Device     string    // tag of the device at which the person sits; empty: one that the person owns
	Session    string
	Idle       time.Duration
	MFAAge     time.Duration
	LoggedIn   bool // MFAAge is given: there was a login
	AMR        []string
	ACR        string
	OnCall     []string       // rosters on which the person is on duty
	Postures   []string       // that the device has, whatever its attributes
	Attributes map[string]any // of the device: string, float64 or bool
	Risk       int
	ApprovedBy int // so many people have agreed
	BreakGlass []string
	Lockdown   []string // levels that are declared
}

// Expect is what a test expects of the rule that accepts. A field at its zero
// value expects nothing.
type Expect struct {
	Pos         Position
	Rule        acl.RuleID
	Log         string // the level as it is written
	Alert       string // somebody who is told
	MaxDuration time.Duration
}
