package wire

import "fmt"

// Protocol levels: each side states its own when it connects, and the lower of
// the two is spoken. A coordinator serves every level of the last 12 months.
const (
	Level       uint32 = 1 // that this build speaks
	OldestLevel uint32 = 1 // that this build still serves
)

// FeatureUnknown is a feature that nobody has. Decoding adds it to a rule with
// a field that this build does not know: such a field may be a condition, and
// a grant without its condition would be wider than written. So a node takes
// the rule as absent; one that forbids it takes to hold.
const FeatureUnknown = "unknown-field"

// FeatureSeatDelta is the feature of a node that takes a change of seats by itself. To
// one that does not name it when it follows, the whole record goes.
const FeatureSeatDelta = "seat-delta"

// Features gives those that a node of this build names when it follows.
func Features() []string { return []string{FeatureSeatDelta} }

// CommonLevel gives the level to speak with a side that stated theirs. It fails
// with [ErrLevel] if that side is too old to be served.
func CommonLevel(theirs uint32) (uint32, error) {
	if theirs < OldestLevel {
		return 0, fmt.Errorf("%w: the other side speaks level %d, the oldest served here is %d: upgrade it",
			ErrLevel, theirs, OldestLevel)
	}
	return min(theirs, Level), nil
}
