package node

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/coordinator/wire/key"
	"github.com/cordonmesh/cordon/node/internal/control"
	"github.com/cordonmesh/cordon/node/local"
)

// join is a sign-in by which this machine joins a mesh, until it has ended and
// after. What it came to may be read when over is closed.
type join struct {
	*control.Joining
	url     string
	login   local.Login
	over    chan struct{}
	outcome local.LoginOutcome
	err     error

	ctx    context.Context // ends with the next join
	cancel context.CancelCauseFunc
}

// Join opens a sign-in by which this machine joins.
func (d *daemon) Join(ctx context.Context, r local.JoinRequest) (*local.JoinResponse, error) {
	n := (*Node)(d)
	url := strings.TrimSuffix(r.URL, "/")
	if err := wire.CheckURL(url); err != nil {
		return nil, fmt.Errorf("coordinator: %q is not allowed: want https://host or https://host:port: %w", r.URL, err)
	}
	name := r.Name
	if name == "" {
		name = hostName()
	}
	n.lifecycle.Lock()
	defer n.lifecycle.Unlock()
	if id, _ := n.current(); id != nil {
		return nil, fmt.Errorf("this node is enrolled already, at %s: `cordon up` alone starts it, `cordon login` signs you in", id.URL)
	}
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	pin, err := n.pinned(ctx, url, r.Fingerprint)
	if err != nil {
		return nil, err
	}
	j, id, err := control.BeginJoin(ctx, n.dir, n.keys, url, pin, name, n.cfg.Version, n.log)
	if err != nil {
		return nil, err
	}
	out := &local.JoinResponse{Node: wire.NodeID(n.keys.Node.Public())}
	if j == nil {
		return out, n.adopt(ctx, id)
	}
	out.Login = &local.Login{ID: j.Login.ID, URL: j.Login.URL, Code: j.Login.Code, Until: j.Login.Until}
	n.await(j, url, *out.Login)
	return out, nil
}

// pinned gives the fingerprint of the mesh root: as somebody gave it, or as the
// owner of the coordinator's host says.
func (n *Node) pinned(ctx context.Context, url, fingerprint string) (key.Fingerprint, error) {
	if fingerprint == "" {
		return control.FindRoot(ctx, control.WebClient(), url)
	}
	pin, err := key.ParseFingerprint(strings.TrimSpace(fingerprint))
	if err != nil {
		return pin, errors.New("the mesh's fingerprint is not 64 hexadecimal digits; was it copied whole?")
	}
	return pin, nil
}

// await has the daemon wait for the end of a sign-in, instead of one before. The
// caller holds n.lifecycle.
func (n *Node) await(opened *control.Joining, url string, login local.Login) {
	j := &join{Joining: opened, url: url, login: login, over: make(chan struct{})}
	j.ctx, j.cancel = context.WithCancelCause(context.Background())
	n.mu.Lock()
	if n.join != nil {
		n.join.cancel(errors.New("another sign-in was begun instead"))
	}
	n.join = j
	n.mu.Unlock()
	select {
	case stale := <-n.joins:
		stale.end(local.LoginOutcome{}, context.Cause(stale.ctx))
	default:
	}
	n.joins <- j // has room for the one
	n.log.Info("a sign-in was opened by which this machine joins", "coordinator", url, "until", login.Until)
}

func (j *join) end(o local.LoginOutcome, err error) {
	j.outcome, j.err = o, err
	j.cancel(err)
	close(j.over)
}

// keepJoining waits for sign-ins to end, one at a time, until ctx is done.
func (n *Node) keepJoining(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case j := <-n.joins:
			stop := context.AfterFunc(ctx, func() { j.cancel(errors.New("the daemon ends")) })
			o, err := n.finishJoin(j)
			stop()
			n.log.Info("a sign-in by which this machine would join has ended", "how", o.State, "reason", o.Reason, "error", err)
			j.end(o, err)
		}
	}
}

func (n *Node) finishJoin(j *join) (local.LoginOutcome, error) {
	ctx, cancel := context.WithTimeoutCause(j.ctx, awaitWithin, errors.New("the sign-in's time is over, and the coordinator could not be asked how it ended"))
	defer cancel()
	id, o, err := j.Await(ctx)
	switch {
	case err != nil:
		return local.LoginOutcome{}, err
	case o.State == wire.AwaitLoginResponse_REFUSED:
		return local.LoginOutcome{State: local.LoginRefused, Reason: o.Reason}, nil
	case o.State == wire.AwaitLoginResponse_EXPIRED:
		return local.LoginOutcome{State: local.LoginExpired}, nil
	}
	n.lifecycle.Lock()
	defer n.lifecycle.Unlock()
	return local.LoginOutcome{State: local.LoginDone}, n.adopt(ctx, id)
}

// adopt takes an identity on, and goes up with it. The caller holds n.lifecycle.
func (n *Node) adopt(ctx context.Context, id *control.Identity) error {
	if there, _ := n.current(); there != nil {
		return nil // an enrolment string was faster
	}
	if err := n.dir.SaveIdentity(id); err != nil {
		return fmt.Errorf("this machine has joined, and cannot keep its identity: %w", err)
	}
	n.mu.Lock()
	n.identity = id
	n.mu.Unlock()
	return n.begin(ctx, id)
}

// AwaitJoin returns when the sign-in has ended by which this machine joins.
func (d *daemon) AwaitJoin(ctx context.Context, r local.AwaitLoginRequest) (*local.LoginOutcome, error) {
	n := (*Node)(d)
	n.mu.Lock()
	j := n.join
	n.mu.Unlock()
	if j == nil || j.login.ID != r.ID {
		return nil, errors.New("this machine joins by no such sign-in: `cordon up --coordinator` begins one")
	}
	select {
	case <-j.over:
		out := j.outcome
		return &out, j.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// describeJoin tells of a sign-in under way.
func (n *Node) describeJoin(s *local.Status) {
	n.mu.Lock()
	j := n.join
	n.mu.Unlock()
	if j == nil || !j.login.Until.After(time.Now()) {
		return
	}
	select {
	case <-j.over:
	default:
		s.State, s.Node, s.Login, s.Coordinator.URL = local.StateJoining, wire.NodeID(n.keys.Node.Public()), &j.login, j.url
	}
}
