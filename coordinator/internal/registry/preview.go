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
