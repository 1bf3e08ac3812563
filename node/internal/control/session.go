package control

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"time"

	"connectrpc.com/connect"

	"github.com/cordonmesh/cordon/coordinator/wire"
)

const (
	silence = 95 * time.Second // three heartbeats and a little: the stream is dead

	// surrenderAtOnce keeps a message of revocations, each with its proof, below
	// what a coordinator reads.
	surrenderAtOnce = 100
)

func (f *Follower) way() way { return way{f.o.Dial, f.o.Control, f.o.Resolver, f.known} }

func (f *Follower) open() (*channel, error) {
	return open(f.way(), f.id.URL, &f.o.Keys.Node, *f.chain.Load(), f.id.Root.Fingerprint(), f.Now)
}

// dial opens a session's channel, or takes the one on which the node enrolled.
func (f *Follower) dial() (*channel, error) {
	if c := f.o.Line.take(f.way()); c != nil {
		return c, nil
	}
	return f.open()
}

// session is one connection, and gives the reason of its end.
func (f *Follower) session(ctx context.Context) error {
	f.takeRenewed()
	c, err := f.dial()
	if err != nil {
		return err
	}
	defer c.close()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	// Counted from before the call: a coordinator that takes the connection and
	// answers nothing is as dead as one that falls silent later.
	deaf := time.AfterFunc(silence, func() { cancel(errors.New("the coordinator fell silent")) })
	defer deaf.Stop()
	stream, err := c.Follow(ctx, connect.NewRequest(f.request()))
	if err != nil {
		return f.why(ctx, c, err)
	}
	defer stream.Close()
	var ended <-chan struct{}
	defer func() {
		if cancel(nil); ended != nil {
			<-ended
		}
	}()
	for stream.Receive() {
		deaf.Reset(silence)
		if ended == nil { // the stream stands: what goes up takes the same connection
			f.o.Listener.Contact(nil)
			f.note("keeping the coordinator's address on disk", f.known.proved())
			ended = f.courier.start(ctx, c, *f.chain.Load())
		}
		if err := f.handle(stream.Msg()); err != nil {
			return f.why(ctx, c, err)
		}
	}
	return f.why(ctx, c, stream.Err())
}

// takeRenewed puts a certificate into use that the last session brought.
func (f *Follower) takeRenewed() {
	chain := f.courier.renewed()
	if len(chain) == 0 {
		return
	}
	f.chain.Store(&chain)
	_, err := f.o.Dir.UpdateIdentity(func(id *Identity) { id.Chain = chain })
	f.note("saving the renewed certificate", err)
}

// request says where this node stands. Without a map, or with one that does not
// fit, it names its incarnation and epoch alone: the answer is a Full.
func (f *Follower) request() *wire.FollowRequest {
	r := &wire.FollowRequest{Level: wire.Level, Features: wire.Features(), Version: f.o.Version, Instance: f.instance}
	at := f.state.Floor()
	if at.Compare(f.floor) < 0 {
		at = f.floor
	}
	r.Incarnation, r.Epoch = at.Incarnation, at.Epoch
	if !f.needFull && !f.state.Map.IsZero() {
		digest := f.state.Map.Digest()
		r.Revision, r.Digest = f.state.Map.Revision, digest[:]
	}
	return r
}

// why makes sense of a session's end, and hands over the revocations that the
// coordinator turned out to lack.
func (f *Follower) why(ctx context.Context, c *channel, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	if connect.CodeOf(err) == connect.CodeAborted || errors.Is(err, wire.ErrRevoked) {
		if failed := f.surrender(ctx, c); failed != nil {
			return fmt.Errorf("handing revocations to a restored coordinator: %w", plain(failed))
		}
	}
	if err == nil {
		return errors.New("the coordinator ended the stream")
	}
	return plain(err)
}

func (f *Follower) surrender(ctx context.Context, c *channel) error {
	f.o.Log.Warn("the coordinator was restored from a backup; handing back the revocations that it lost", "count", len(f.state.Revoked))
	for some := range slices.Chunk(inOrder(f.state.Revoked), surrenderAtOnce) {
		r := &wire.SurrenderRequest{Revocations: some, MapKeys: f.trust.Certificates()}
		if _, err := c.Surrender(ctx, connect.NewRequest(r)); err != nil {
			return err
		}
	}
	return nil
}

// system is what the coordinator is told of the machine, at enrolment and in each
// report: a word that differs is a change, to be written and audited.
func system() string { return runtime.GOOS + "/" + runtime.GOARCH }
