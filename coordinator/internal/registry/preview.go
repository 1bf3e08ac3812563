package registry

// Preview gives the state that a command would lead to from s, if it were decided
// now. Nothing happens, and nobody is told.
func (r *Registry) Preview(s *State, c Command) (*State, error) {
	d, err := r.decider.Decide(s, c, System, r.config.Clock())
	if err != nil {
		return nil, err
	}
	return d.Next, nil
}

// Under gives the state as it would be with another policy in force, whether or
// not SetPolicy would take it now: its autoApprovers have had their say.
func (r *Registry) Under(s *State, file, text string) *State {
	d := &decision{Decider: r.decider, actor: System, now: r.config.Clock(), state: s, before: s}
	d.emit(PolicySet{File: file, Text: text, Author: System})
	d.settleAll()
	if pol, _ := d.state.Policy().Parsed(); pol != nil {
		d.beginDay(pol)
	}
	return d.state
}
