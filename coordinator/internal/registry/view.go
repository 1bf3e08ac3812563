package registry

import "slices"

// ringSize is how many entries Since can give. A reader that is further behind
// starts anew from a snapshot, which costs no more than so many events would.
const ringSize = 4096

// view is what readers see: one pointer, so that a reader never finds a state
// with another one's entries. It is never changed.
type view struct {
	state   *State
	recent  []Entry       // the last ones, up to state.Revision
	changed chan struct{} // closed when there is a later view
}

// Snapshot gives the state that is in force now.
func (r *Registry) Snapshot() *State { return r.view.Load().state }

// Changed gives a channel that is closed when a later state than the one at the
// time of the call is in force. To miss no change, call it before Snapshot, or
// use Watch.
func (r *Registry) Changed() <-chan struct{} { return r.view.Load().changed }

// Watch gives the state that is in force, and a channel that is closed when a
// later one is.
func (r *Registry) Watch() (*State, <-chan struct{}) {
	v := r.view.Load()
	return v.state, v.changed
}

// Since gives the entries after a revision, up to the state that is in force.
// False: they are too old, or from a state that this registry never had; start
// anew from Snapshot. The slice must not be changed.
func (r *Registry) Since(revision uint64) ([]Entry, bool) {
	v := r.view.Load()
	if revision > v.state.Revision {
		return nil, false
	}
	missing := v.state.Revision - revision
	if missing > uint64(len(v.recent)) {
		return nil, false
	}
	return slices.Clip(v.recent[uint64(len(v.recent))-missing:]), true
}

// show puts a later state in force.
func (r *Registry) show(s *State, entries []Entry) {
	old := r.view.Load()
	recent := append(old.recent, entries...) // readers see no further than their own length
	if len(recent) > 2*ringSize {
		recent = slices.Clone(recent[len(recent)-ringSize:])
	}
	r.view.Store(&view{state: s, recent: recent, changed: make(chan struct{})})
	close(old.changed)
}
