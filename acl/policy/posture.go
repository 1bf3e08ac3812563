package policy

// Posture is what a rule may ask of a source's device: all of its conditions.
type Posture struct {
	Name       string // "posture:managed"
	Pos        Position
	Conditions []Condition // never empty
}

// Condition compares an attribute of a device with a value.
type Condition struct {
	Attribute string // "node:os", "custom:mdm"
	Op        string // "==", "!=", "<", "<=", ">", ">=", "IN", "NOT IN", "IS SET" or "NOT SET"
	Values    []any  // string, float64 or bool: one; for IN and NOT IN several; for IS SET and NOT SET none
}
