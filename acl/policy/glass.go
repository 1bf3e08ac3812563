package policy

import "time"

// BreakGlass is a way around conditions in an emergency, loud and short. With a
// source and destinations it is a rule of its own ([Policy.Rules] has it, with
// Rule.Glass set); with segments it lifts conditions of the rules into them.
type BreakGlass struct {
	ID                    string
	Pos                   Position
	Segments              []string // of which conditions are lifted; nil: a rule of its own
	Waives                []string // "mfa", "posture", "schedule", "session", "oncall", "risk" and "approval": what need not hold
	By                    []Selector
	Count                 int  // people who must declare it; 0: each person for themself
	Reason                bool // one must be given
	MaxDuration, Cooldown time.Duration
	Alert                 []Selector
	Review                Review
	Offline               bool // a node may open it without the coordinator
}

// Review is who looks at a use afterwards, and how soon.
type Review struct {
	By     Selector
	Within time.Duration
}

// Lockdown is a named level of alarm: what is forbidden as long as it is declared.
type Lockdown struct {
	Name  string
	Pos   Position
	By    []Selector // who may declare it
	Count int
	Rules []Rule // they forbid; Section "lockdown", Rule.Level is the Name
}
