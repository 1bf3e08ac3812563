package coordinator

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/cordonmesh/cordon/acl/policy"
	"github.com/cordonmesh/cordon/coordinator/internal/registry"
	"github.com/cordonmesh/cordon/coordinator/internal/store/sqlite"
	"github.com/cordonmesh/cordon/coordinator/internal/warn"
)

// A policy that an earlier version of the program took, and that this one cannot
// read, denies all. To start with it would cut every flow of a hospital in the
// minute of an upgrade, so the coordinator does not: nothing was told to any node, and
// nodes go on with the map that they have, whatever is down.

// StoredPolicy is a policy as it lies in a state directory.
type StoredPolicy struct {
	Revision   uint64
	File, Text string
	Err        error // nil: this version of the program reads it
}

// ReadPolicy gives the policy in force in a state directory that no coordinator
// serves, whether or not this version of the program can read it.
func ReadPolicy(ctx context.Context, stateDir string) (*StoredPolicy, error) {
	var out *StoredPolicy
	err := offline(ctx, stateDir, func(r *registry.Registry) error {
		v := r.Snapshot().Policy()
		if v == nil {
			return fmt.Errorf("there is no policy in %s", stateDir)
		}
		_, err := v.Parsed()
		out = &StoredPolicy{Revision: v.Revision, File: v.File, Text: v.Text, Err: err}
		return nil
	})
	return out, err
}

// ReplacePolicy puts a policy in force in a state directory that no coordinator
// serves, in the name of who, an account of this machine. It gives its revision. One
// that awaits confirmation gives way. An error of the text is of type [policy.Errors].
func ReplacePolicy(ctx context.Context, stateDir, who, file, text string) (revision uint64, err error) {
	err = offline(ctx, stateDir, func(r *registry.Registry) error {
		actor := registry.Operator(who)
		if _, _, err := policy.Parse(file, []byte(text)); err != nil {
			return fmt.Errorf("policy refused, the one in force stays:\n%w", err)
		}
		if r.Snapshot().Policy().Awaits() {
			if _, err := r.Do(ctx, actor, registry.RollBackPolicy{}); err != nil {
				return err
			}
		}
		done, err := r.Do(ctx, actor, registry.SetPolicy{File: file, Text: text})
		if err == nil {
			revision = done.Policy.Revision
		}
		return err
	})
	return revision, err
}

// offline runs a registry over the store of a directory for as long as f takes. The
// store's lock keeps a coordinator that serves it out, and is kept out by it.
func offline(ctx context.Context, stateDir string, f func(*registry.Registry) error) error {
	journal, err := sqlite.Open(ctx, filepath.Join(stateDir, fileStore), sqlite.Options{})
	if err != nil {
		return err
	}
	return errors.Join(withRegistry(ctx, journal, f), journal.Close())
}

// readable refuses a state whose policy this version of the program cannot read, or
// one that would come back by itself and that it cannot.
func readable(s *registry.State, stateDir string) error {
	v := s.Policy()
	_, err := v.Parsed()
	if all := s.Policies(); err == nil && v.Awaits() && len(all) > 1 {
		_, err = all[len(all)-2].Parsed()
	}
	if err == nil {
		return nil
	}
	return fmt.Errorf(`not starting, since the mesh would be denied everything: %w
Nodes were told nothing and go on with what they have. Start the version of this program that ran before; or mend the policy:
  cordon-coordinator policy get --state %[2]s > policy.hujson
  (edit it)
  cordon-coordinator policy set --state %[2]s policy.hujson`, err, stateDir)
}

// refusedToday tells of a policy in force that goes on although this version of the
// program would refuse it.
func refusedToday(state *registry.State) []warn.Lapse {
	v := state.Policy()
	all := v.Refused()
	if len(all) == 0 {
		return nil
	}
	things := "1 thing"
	if len(all) > 1 {
		things = fmt.Sprintf("%d things", len(all))
	}
	return []warn.Lapse{{Kind: "policy", Name: fmt.Sprintf("of revision %d", v.Revision), Since: v.Time,
		Advice: fmt.Sprintf("it is obeyed as it stands, and would be refused today for %s: no edit is taken that does not mend them, so do it before you are in a hurry; `cordonctl policy get` shows them. The first: %s", things, all[0])}}
}
