package registry

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/cordonmesh/cordon/acl/policy"
	"github.com/cordonmesh/cordon/coordinator/internal/audit"
)

// Decider decides commands. The zero Decider approves no route by itself.
type Decider struct {
	// AutoApprove tells whether the policy lets a node carry a prefix without a
	// person. It must depend on its arguments alone. p may be nil.
	AutoApprove func(p *policy.Policy, n Node, prefix netip.Prefix) bool

	// RoleScopes gives what the holder of a role may do at the admin API; nothing
	// for a name that is no role. It must depend on its argument alone. nil: there
	// are no roles.
	RoleScopes func(role string) []string
}

func (r Decider) roleScopes(role string) []string {
	if r.RoleScopes == nil {
		return nil
	}
	return r.RoleScopes(role)
}

// Decision is what would come of a command.
type Decision struct {
	Entries []Entry       // events in their places; none: nothing changes
	Records []audit.Draft // what the audit will say
	Next    *State        // after the entries
	Result  Result
}

// Decide gives what would come of a command by actor, now. It is pure. With an
// error nothing changes, but there may be Records: a refusal that the audit
// should know of, because it took a good secret or a known key to get so far.
func (r Decider) Decide(s *State, c Command, actor Actor, now time.Time) (Decision, error) {
	d := &decision{Decider: r, actor: actor, now: now.UTC().Truncate(time.Millisecond), state: s, before: s}
	_, isInit := c.(Init)
	if !isInit && !s.Initialised() {
		return Decision{Next: s}, fmt.Errorf("%w; run init first", ErrUninitialised)
	}
	err := d.stillMay()
	if err == nil {
		err = c.decide(d)
	}
	if err != nil {
		return Decision{Next: s, Records: d.refusals()}, err
	}
	d.passOn()
	d.result.Revision = d.state.Revision
	d.result.Changed = len(d.entries) > 0
	return Decision{Entries: d.entries, Records: d.records, Next: d.state, Result: d.result}, nil
}

// decision is a Decision in the making.
type decision struct {
	Decider
	actor   Actor
	now     time.Time
	before  *State // as it was
	state   *State // after the events so far
	entries []Entry
	records []audit.Draft
	refused []audit.Draft
	result  Result
}

// emit makes an event happen.
func (d *decision) emit(e Event) {
	entry := Entry{Revision: d.state.Revision + 1, Time: d.now, Event: e}
	d.entries = append(d.entries, entry)
	d.state = Apply(d.state, entry)
}

// record tells the audit of what happened.
func (d *decision) record(action, object, format string, args ...any) {
	d.records = append(d.records, d.draft(action, object, format, args...))
}

// refuse tells the audit of a refusal, and gives err back.
func (d *decision) refuse(action, object string, err error) error {
	d.refused = append(d.refused, d.draft(action, object, "%v", err))
	return err
}

func (d *decision) draft(action, object, format string, args ...any) audit.Draft {
	return audit.Draft{Time: d.now, Actor: string(d.actor), Action: action, Object: object,
		Detail: fmt.Sprintf(format, args...), Revision: d.state.Revision}
}

// refusals are records at the state as it stays.
func (d *decision) refusals() []audit.Draft {
	for i := range d.refused {
		d.refused[i].Revision = d.before.Revision
	}
	return d.refused
}

// node finds the node that a command names.
func (d *decision) node(idOrName string) (*Node, error) {
	n, ok := d.state.FindNode(idOrName)
	if !ok {
		return nil, NoNode(idOrName)
	}
	return n, nil
}

// NoNode is what is said, everywhere, of a node that is not there. It wraps ErrNotFound.
func NoNode(idOrName string) error {
	return fmt.Errorf("node %q: %w; `cordonctl node list` shows them all", shorten(idOrName), ErrNotFound)
}

// warn adds a warning to the result.
func (d *decision) warn(format string, args ...any) {
	d.result.Warnings = append(d.result.Warnings, fmt.Sprintf(format, args...))
}
