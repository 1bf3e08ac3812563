package registry

import (
	"bytes"
	"slices"
)

// The events of people whom the coordinator knows by itself.
type (
	// LocalPut says by what a person proves who they are.
	LocalPut struct {
		Local Local `json:"local"`
	}
	// LocalProved keeps a proof from counting twice: Step, or Passkey and Count, are set.
	// It also keeps where the person is known, which a restart must not forget.
	LocalProved struct {
		User     string `json:"user"`
		Step     int64  `json:"step,omitempty"`
		Password []byte `json:"password,omitempty"` // sealed, hashed anew; nil: it stays
		Passkey  []byte `json:"passkey,omitempty"`
		Count    uint32 `json:"count,omitempty"`
		Node     string `json:"node,omitempty"` // where it was
		Seat     string `json:"seat,omitempty"`
	}
)

func (LocalPut) kind() string    { return "local-put" }
func (LocalProved) kind() string { return "local-proved" }

func (v LocalPut) apply(s *State, _ Entry) { s.putLocal(&v.Local) }

func (v LocalProved) apply(s *State, e Entry) {
	old, ok := s.locals.Get(v.User)
	if !ok {
		return
	}
	next := *old
	next.Step = max(next.Step, v.Step)
	if v.Password != nil {
		next.Password = v.Password
	}
	next.Passkeys = slices.Clone(old.Passkeys)
	for i := range next.Passkeys {
		if p := &next.Passkeys[i]; bytes.Equal(p.ID, v.Passkey) {
			p.Count = v.Count
		}
	}
	if v.Node != "" {
		kept := slices.DeleteFunc(slices.Clone(old.Places), func(p Place) bool { return p.Node == v.Node && p.Seat == v.Seat })
		kept = append(kept, Place{Node: v.Node, Seat: v.Seat, At: e.Time})
		next.Places = kept[max(0, len(kept)-maxPlaces):]
	}
	s.putLocal(&next)
}
