package compile

import (
	"context"
	"fmt"
	"math/bits"

	"github.com/cordonmesh/cordon/acl/policy"
)

// A policy is judged by its own tests before it is taken, and whoever may write one
// writes as many tests as a file holds: each may name all the devices that there are, and
// each device may match every rule. So judging has a bound. It is counted in steps and
// not in seconds: a policy that one coordinator takes, a busy one takes too.

const (
	maxSteps     = 60_000_000 // of one policy's tests: about half a second
	maxHintSteps = 3_000_000  // of looking for the rule that comes nearest: failures beyond go without

	putSteps    = 2_000 // what a person costs who is made up
	gateSteps   = 100   // what a device costs at each made-up gateway
	deviceSteps = 20    // what each of its tags costs
	groupSteps  = 40    // what it costs to look somebody up in a group
)

// TooMuchWork is the error of tests that take more to judge than those of one policy may.
type TooMuchWork struct {
	Pos policy.Position // of the test that takes most
}

func (e *TooMuchWork) Error() string { return e.Pos.String() + ": " + e.Why() }

// Why is the error without its position.
func (e *TooMuchWork) Why() string {
	return fmt.Sprintf("the tests take more work to judge than the %d million steps that those of a policy may, and this one takes most of it", maxSteps/1_000_000)
}

// work is what judging has cost. A nil one is boundless.
type work struct {
	ctx    context.Context
	steps  int // left
	hints  int // left
	most   int
	where  policy.Position
	before int // of the test that is judged
}

func newWork(ctx context.Context) *work {
	return &work{ctx: ctx, steps: maxSteps, hints: maxHintSteps, before: maxSteps}
}

func (w *work) spend(steps int) {
	if w != nil {
		w.steps -= steps
	}
}

// over tells whether judging is to end: nobody waits for it, or it cost too much.
func (w *work) over() bool { return w != nil && (w.steps < 0 || w.ctx.Err() != nil) }

// hint tells whether there is time to look through so many parts for a hint.
func (w *work) hint(parts int) bool {
	if w == nil {
		return true
	}
	w.hints -= parts
	return w.hints >= 0
}

// done counts what a test cost, and says why no other is to follow.
func (w *work) done(pos policy.Position) error {
	if cost := w.before - w.steps; cost > w.most {
		w.most, w.where = cost, pos
	}
	w.before = w.steps
	switch {
	case w.ctx.Err() != nil:
		return w.ctx.Err()
	case w.steps < 0:
		return &TooMuchWork{w.where}
	}
	return nil
}

// weighSteps works out what it costs to weigh all facts of a device, and to put into
// words what each part lacks.
func (b *book) weighSteps(pol *policy.Policy) {
	for _, n := range b.needs {
		b.factSteps += 8
		if n.person != nil {
			for _, s := range n.person.people {
				members, _ := pol.Group(s.Name)
				b.factSteps += 8 * (1 + len(members))
			}
		}
		posture, _ := pol.Posture(n.posture)
		b.factSteps += 8 * len(posture.Conditions)
	}
	for _, p := range b.parts {
		b.textSteps += 4 + len(p.open) + len(p.src) + len(p.dst)
	}
}

// groundSteps is what it costs to find anew on what grounds parts stand, where
// something is declared.
func (m *Mesh) groundSteps(g *policy.Given) int {
	if len(g.Lockdown)+len(g.BreakGlass) == 0 {
		return 0
	}
	return 20*len(m.book.parts) + 8*len(m.book.glasses)
}

// judgeSteps is what it costs to judge a flow between two places: see [common].
func judgeSteps(from, to place) int {
	if from.class == nil || to.class == nil {
		return 1
	}
	short, long := len(from.class.asSrc), len(to.class.asDst)
	if short > long {
		short, long = long, short
	}
	return 8 + min(short+long, short*bits.Len(uint(long)))
}
