package signin_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/cordonmesh/cordon/coordinator/internal/auth/signin"
)

func gold() signin.Request { return signin.Request{Afresh: true, ACR: "gold"} }

// The level that a node asks for is the provider's to give: one that gives another is
// told of in plain words to the person, and to the node so that it does not ask again.
func TestLevelIsAskedForAndHeld_A22(t *testing.T) {
	for name, c := range map[string]struct {
		acr     string
		failing error
		state   signin.State
		says    string
	}{
		"given":             {"gold", nil, signin.Done, "is signed in as"},
		"another":           {"silver", nil, signin.Refused, "not of the level that is needed"},
		"none":              {"", nil, signin.Refused, "not of the level that is needed"},
		"the provider's no": {"", fmt.Errorf("%w: ask for it there", signin.ErrBelow), signin.Refused, "ask for it there"},
	} {
		within(t, func(t *testing.T, h *hall) {
			h.provider.acr, h.provider.below = c.acr, c.failing
			o, err := h.desk.Open(t.Context(), "n1", ward(), gold())
			if err != nil {
				t.Fatal(err)
			}
			b := h.browser()
			h.says(b.back(b.leave(o.ID), "code-ana"), http.StatusOK, c.says)
			if a := h.provider.attempts[0]; !slices.Equal(a.ACR, []string{"gold"}) || !a.Afresh {
				t.Errorf("%s: the provider is asked for %q", name, a.ACR)
			}
			if got := h.outcome("n1", o.ID); got.State != c.state || got.Below != (c.state == signin.Refused) || got.Below && !strings.Contains(got.Reason, c.says) {
				t.Errorf("%s: the node is told %+v", name, got)
			}
		})
	}
}

// What nobody could be asked for is refused before anybody proves something for nothing.
func TestLevelThatNobodyIsAskedFor(t *testing.T) {
	within(t, func(t *testing.T, h *hall) {
		defer h.running()()
		for name, asked := range map[string]signin.Request{
			"by a device code": {DeviceCode: true, ACR: "gold"},
			"two":              {ACR: "gold silver"},
			"of a script":      {ACR: "gold\n"},
			"long":             {ACR: strings.Repeat("a", 256)},
		} {
			if _, err := h.desk.Open(t.Context(), "n1", ward(), asked); !errors.Is(err, signin.ErrNoLevel) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}
