package registry

import (
	"fmt"
	"sync"
	"time"

	"github.com/cordonmesh/cordon/acl/policy"
)

// maxPolicies bounds the history of policies that a State keeps. A node names
// the policy revision of its map when it looks up a rule; a map that is older
// than so many edits is explained by rule id only.
const maxPolicies = 100

// PolicyVersion is one policy of the history. It is never changed.
type PolicyVersion struct {
	Revision uint64    `json:"revision"` // of the event that put it in force
	File     string    `json:"file"`     // what messages call it
	Text     string    `json:"text"`
	Author   Actor     `json:"author"`
	Time     time.Time `json:"time"`

	// Until is when it gives way to the one before, unless somebody confirms it
	// first; zero: it stays. Confirmed is who did. Reverts is of one that took
	// the place of an unconfirmed one: the revision of that.
	Until     time.Time `json:"until,omitzero"`
	Confirmed Actor     `json:"confirmed,omitempty"`
	Reverts   uint64    `json:"reverts,omitempty"`

	parse sync.Once // old versions are parsed only if somebody asks
	pol   *policy.Policy
	warns []policy.Warning
	err   error
}

// Parsed gives the policy in parsed form. A text that was in force once, and that
// this version of the program would refuse although it has a meaning, is read by that:
// see Refused. One that has none gives an error and nil, which permits nothing.
func (v *PolicyVersion) Parsed() (*policy.Policy, error) {
	if v == nil {
		return nil, nil
	}
	v.parse.Do(func() {
		v.pol, v.warns, v.err = policy.Options{InForce: true}.Parse(v.File, []byte(v.Text))
		if v.err != nil {
			v.pol, v.err = nil, fmt.Errorf("the policy of revision %d does not parse any more: %w", v.Revision, v.err)
		}
	})
	return v.pol, v.err
}

// Refused gives what this version of the program would refuse in a version if it came
// today, and goes on with: an earlier one took it.
func (v *PolicyVersion) Refused() (all []policy.Warning) {
	if pol, err := v.Parsed(); pol == nil || err != nil {
		return nil
	}
	for _, w := range v.warns {
		if w.Refused {
			all = append(all, w)
		}
	}
	return all
}
