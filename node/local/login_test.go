package local_test

import (
	"testing"

	"github.com/cordonmesh/cordon/node/local"
)

// A sign-in is offered where it gives all that is missing, a fresh one where
// somebody else may sit there by now.
func TestWhatASignInGives(t *testing.T) {
	for _, tt := range []struct {
		needs       []string
		afresh, yes bool
	}{
		{[]string{"signed-in"}, false, true},
		{[]string{"signed-in", "mfa:within=8h0m0s"}, true, true},
		{[]string{"session:idle=10m0s"}, true, true},
		{[]string{"session:kind=login:idle=10m0s", "signed-in"}, true, true},
		{[]string{"session:kind=tap:idle=10m0s", "signed-in"}, false, false},
		{[]string{"signed-in", "posture:managed"}, false, false},
		{nil, false, false},
	} {
		if afresh, yes := (local.Refusal{Outbound: true, Needs: tt.needs}).StepsUp(); afresh != tt.afresh || yes != tt.yes {
			t.Errorf("%v: %v, %v", tt.needs, afresh, yes)
		}
		if _, yes := (local.Refusal{Needs: tt.needs}).StepsUp(); yes {
			t.Errorf("%v: offered for what came in", tt.needs)
		}
	}
}
