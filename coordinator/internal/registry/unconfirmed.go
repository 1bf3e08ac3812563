package registry

import (
	"context"
	"fmt"
	"time"
)

// A policy may be put in force for a while only, until somebody who sees that it
// works confirms it. The deadline is part of the policy's version, and so of the
// journal: it passes whether or not the coordinator that took it still runs.

// Awaits tells whether a version gives way to the one before unless confirmed.
func (v *PolicyVersion) Awaits() bool { return v != nil && !v.Until.IsZero() && v.Confirmed == "" }

// confirmedBy gives the version as it is once confirmed.
func (v *PolicyVersion) confirmedBy(who Actor) *PolicyVersion {
	return &PolicyVersion{Revision: v.Revision, File: v.File, Text: v.Text, Author: v.Author, Time: v.Time, Until: v.Until, Confirmed: who, Reverts: v.Reverts}
}

// confirmBy gives the deadline of a policy that is decided now; zero for none.
func (d *decision) confirmBy(within time.Duration) (time.Time, error) {
	switch {
	case within == 0:
		return time.Time{}, nil
	case within < time.Second || within > MaxConfirmWithin:
		return time.Time{}, invalid("time to confirm", within.String(), fmt.Sprintf("%v to %v", time.Second, MaxConfirmWithin))
	case d.state.Policy() == nil:
		return time.Time{}, fmt.Errorf("time to confirm: %w: no policy is in force that could come back", ErrInvalid)
	}
	return d.now.Add(within), nil
}

func untilText(until time.Time) string {
	if until.IsZero() {
		return ""
	}
	return fmt.Sprintf(", which comes back at %v unless confirmed", until)
}

func (c ConfirmPolicy) decide(d *decision) error {
	v := d.state.Policy()
	switch {
	case v == nil || c.Revision == 0 && !v.Awaits() && v.Reverts == 0:
		return fmt.Errorf("confirm: %w: no policy awaits confirmation", ErrInvalid)
	case v.Reverts != 0 && (c.Revision == 0 || c.Revision == v.Reverts):
		return fmt.Errorf("confirm: %w: the policy of revision %d was put back at %v, by %s", ErrStale, v.Reverts, v.Time, v.Author)
	case c.Revision != 0 && c.Revision != v.Revision:
		return fmt.Errorf("confirm: %w: the policy of revision %d is in force, not %d", ErrStale, v.Revision, c.Revision)
	case v.Awaits() && !d.now.Before(v.Until):
		return fmt.Errorf("confirm: %w: the time ended at %v, and the policy before comes back", ErrStale, v.Until)
	}
	if v.Awaits() {
		d.emit(PolicyConfirmed{By: d.actor})
		d.record("policy.confirm", v.File, "revision %d stays", v.Revision)
	}
	d.result.Policy = d.state.Policy()
	return nil
}

func (c RollBackPolicy) decide(d *decision) error {
	if !d.state.Policy().Awaits() {
		return fmt.Errorf("roll back: %w: no policy awaits confirmation; put an earlier one in force as any other", ErrInvalid)
	}
	d.putBack()
	return nil
}

// expirePolicy rolls back what was not confirmed in time. It changes nothing
// where somebody was faster.
type expirePolicy struct{}

func (expirePolicy) decide(d *decision) error {
	if v := d.state.Policy(); v.Awaits() && !d.now.Before(v.Until) {
		d.putBack()
	}
	return nil
}

// putBack puts the text before the one that awaits confirmation in force. No
// other can have come between: none is taken meanwhile.
func (d *decision) putBack() {
	v, before := d.state.Policy(), d.state.policies[max(0, len(d.state.policies)-2)]
	d.emit(PolicySet{File: before.File, Text: before.Text, Author: d.actor, Reverts: v.Revision})
	d.record("policy.rollback", before.File, "revision %d was not confirmed; the text of revision %d is in force again", v.Revision, before.Revision)
	d.result.Policy = d.state.Policy()
	d.settleAll()
	if pol, _ := before.Parsed(); pol != nil {
		d.beginDay(pol)
	}
}

// How often the deadline is looked at: a wall clock that is set moves it, and no
// timer hears of that.
const (
	lookAgain = 15 * time.Second
	tryAgain  = 5 * time.Second // after a failure, such as a full disk
)

// deadline fires when the policy in force might have to go; it is nil, and so
// never fires, if none awaits confirmation.
func (r *Registry) deadline() <-chan time.Time {
	v := r.Snapshot().Policy()
	if !v.Awaits() {
		return nil
	}
	wait := min(v.Until.Sub(r.config.Clock()), lookAgain)
	if wait <= 0 && r.tried == v.Revision {
		wait = tryAgain
	}
	return time.After(max(0, wait))
}

// expire rolls the policy in force back if its time is over.
func (r *Registry) expire(ctx context.Context) error {
	v := r.Snapshot().Policy()
	if !v.Awaits() || r.config.Clock().Before(v.Until) {
		return nil
	}
	r.tried = v.Revision
	r.config.Log.Warn("the policy in force was not confirmed in time: the one before comes back", "revision", v.Revision, "until", v.Until)
	return r.serve(ctx, []*request{{ctx: ctx, actor: System, command: expirePolicy{}, answer: make(chan answer, 1)}})
}
