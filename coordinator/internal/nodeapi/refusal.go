package nodeapi

import (
	"errors"

	"connectrpc.com/connect"

	"github.com/cordonmesh/cordon/coordinator/internal/registry"
)

// refusal gives a registry's error the code that its caller branches on. The
// words of a refused command are made for whoever sent it; those of a failing
// disk are not, and stay here.
func refusal(err error) error {
	for _, c := range []struct {
		is   error
		code connect.Code
	}{
		{registry.ErrToken, connect.CodePermissionDenied},
		{registry.ErrUser, connect.CodePermissionDenied},
		{registry.ErrRevokedKey, connect.CodePermissionDenied},
		{registry.ErrKnownKey, connect.CodeAlreadyExists},
		{registry.ErrStale, connect.CodeAborted},
		{registry.ErrNotFound, connect.CodeNotFound},
		{registry.ErrInvalid, connect.CodeInvalidArgument},
	} {
		if errors.Is(err, c.is) {
			return connect.NewError(c.code, err)
		}
	}
	switch {
	case errors.Is(err, registry.ErrExhausted):
		return connect.NewError(connect.CodeResourceExhausted, errors.New("the mesh has no address left: ask its admin"))
	case errors.Is(err, registry.ErrFull):
		return connect.NewError(connect.CodeResourceExhausted, errors.New("the coordinator's disk is full: nothing was changed"))
	}
	return connect.NewError(connect.CodeUnavailable, errors.New("the coordinator cannot write now: nothing was changed; try again"))
}
