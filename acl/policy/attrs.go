package policy

// NodeAttr gives attributes to nodes.
type NodeAttr struct {
	Pos    Position
	Target []Selector // anything but Self, Internet and World
	Attrs  []string   // sorted
}
