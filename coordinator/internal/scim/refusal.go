package scim

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	scimerrors "github.com/elimity-com/scim/errors"

	"github.com/cordonmesh/cordon/coordinator/internal/registry"
)

// invalid is a request that is never done as it stands. Its kind is of table 9 in
// RFC 7644, section 3.12: a directory branches on it, and shows it to its admin.
func invalid(kind scimerrors.ScimType, format string, args ...any) error {
	return scimerrors.ScimError{Status: http.StatusBadRequest, ScimType: kind, Detail: fmt.Sprintf(format, args...)}
}

// refusal gives a registry's error the status that a directory branches on.
func refusal(err error) error {
	say := func(status int, kind scimerrors.ScimType) error {
		return scimerrors.ScimError{Status: status, ScimType: kind, Detail: err.Error()}
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, registry.ErrNotFound):
		return say(http.StatusNotFound, "")
	case errors.Is(err, registry.ErrExists):
		return say(http.StatusConflict, scimerrors.ScimTypeUniqueness)
	case errors.Is(err, registry.ErrToken):
		return say(http.StatusUnauthorized, "")
	case errors.Is(err, registry.ErrInvalid), errors.Is(err, registry.ErrUser):
		return say(http.StatusBadRequest, scimerrors.ScimTypeInvalidValue)
	}
	return say(http.StatusInternalServerError, "")
}

// answer tells an error that the library does not see.
func answer(w http.ResponseWriter, err error) {
	var e scimerrors.ScimError
	if !errors.As(err, &e) {
		e = scimerrors.ScimError{Status: http.StatusInternalServerError, Detail: err.Error()}
	}
	b, err := json.Marshal(e)
	if err != nil {
		e.Status = http.StatusInternalServerError
	}
	w.Header().Set("Content-Type", "application/scim+json")
	w.WriteHeader(e.Status)
	w.Write(b)
}
