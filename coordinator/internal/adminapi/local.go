package adminapi

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"connectrpc.com/connect"

	"github.com/cordonmesh/cordon/coordinator/admin"
	"github.com/cordonmesh/cordon/coordinator/internal/auth/signin"
	"github.com/cordonmesh/cordon/coordinator/internal/registry"
)

// linkLife is how long a link to set up is open, if nobody says otherwise.
const linkLife = 24 * time.Hour

// setUpLink is a link to set up, drawn for one person, and told once.
type setUpLink struct {
	secret string // at least 128 random bits
	life   time.Duration
}

func drawLink(seconds int64) (setUpLink, error) {
	if most := int64(registry.MaxLinkLife / time.Second); seconds < 0 || seconds > most {
		return setUpLink{}, connect.NewError(connect.CodeInvalidArgument, fmt.Errorf("a link of %d s: want at most %d, or 0 for a day", seconds, most))
	}
	l := setUpLink{secret: rand.Text(), life: time.Duration(seconds) * time.Second}
	if l.life == 0 {
		l.life = linkLife
	}
	return l, nil
}

func (l setUpLink) url(base string) string {
	return strings.TrimSuffix(base, "/") + signin.SetUpPrefix + l.secret
}

// AddUser adds a person of the coordinator's own, and gives the link by which they set
// up how they prove who they are, this once.
func (a *API) AddUser(ctx context.Context, req *connect.Request[admin.AddUserRequest]) (*connect.Response[admin.AddUserResponse], error) {
	if !a.LocalPeople {
		return nil, connect.NewError(connect.CodeFailedPrecondition, errors.New("nobody of the coordinator's own can sign in: start it with --local-people"))
	}
	link, err := drawLink(req.Msg.LinkLife)
	if err != nil {
		return nil, err
	}
	r, err := a.do(ctx, registry.AddLocal{Subject: strings.ToLower(rand.Text()), Login: req.Msg.Login, Name: req.Msg.Name,
		Groups: req.Msg.Groups, Link: registry.HashSecret(link.secret), Life: link.life})
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&admin.AddUserResponse{User: userMessage(r.User), Link: link.url(a.URL), Until: a.openUntil(r.User)}), nil
}

// ResetUser gives a person another link, and voids what they had unless it is kept. It
// works at a coordinator that lets nobody of its own in, so that a lost key is no dead end.
func (a *API) ResetUser(ctx context.Context, req *connect.Request[admin.ResetUserRequest]) (*connect.Response[admin.ResetUserResponse], error) {
	link, err := drawLink(req.Msg.LinkLife)
	if err != nil {
		return nil, err
	}
	r, err := a.do(ctx, registry.ResetLocal{User: req.Msg.User, Link: registry.HashSecret(link.secret), Life: link.life, Keep: req.Msg.Keep})
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&admin.ResetUserResponse{User: userMessage(r.User), Link: link.url(a.URL), Until: a.openUntil(r.User), Ended: uint32(r.Ended)}), nil
}

// GroupUser gives a person of the coordinator's own exactly these groups.
func (a *API) GroupUser(ctx context.Context, req *connect.Request[admin.GroupUserRequest]) (*connect.Response[admin.GroupUserResponse], error) {
	r, err := a.do(ctx, registry.GroupLocal{User: req.Msg.User, Groups: req.Msg.Groups})
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&admin.GroupUserResponse{User: userMessage(r.User)}), nil
}

// openUntil gives when the link of a person ends.
func (a *API) openUntil(u *registry.User) int64 {
	l, ok := a.Registry.Snapshot().Local(u.ID)
	if !ok || l.Link == nil {
		return 0 // used or reset meanwhile
	}
	return seconds(l.Link.Until)
}

// proves tells by what a person proves who they are, and nothing of it.
func (a *API) proves(state *registry.State, u *registry.User) (all []string) {
	l, ok := state.Local(u.ID)
	if !ok {
		return nil
	}
	if len(l.Password) > 0 {
		all = append(all, "password")
	}
	for range l.Passkeys {
		all = append(all, "passkey")
	}
	if l.Link != nil && a.Now().Before(l.Link.Until) {
		all = append(all, "link")
	}
	return all
}
