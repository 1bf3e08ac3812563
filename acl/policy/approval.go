package policy

import (
	"regexp"
	"time"
)

// Approval is who must agree before a rule opens, and for how long it then does.
type Approval struct {
	Name         string // "approve:vendor"
	Pos          Position
	By           []Selector
	Count        int // different people; at least 1
	NotRequester bool
	MaxDuration  time.Duration
	Ticket       *regexp.Regexp // nil: none is asked for
	OnExpiry     OnExpiry
	OnExpirySet  bool
}
