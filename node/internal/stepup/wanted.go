package stepup

import (
	"slices"
	"time"

	"github.com/cordonmesh/cordon/node/local"
)

// lately is how old a refusal may be for which a sign-in is opened: whoever wanted
// that flow is still there.
const lately = time.Minute

// Wanted tells whether a sign-in would open a flow that this machine itself wanted
// in the minute before now, in policy time, and whether it has to be one with a
// fresh proof. Packets that come in ask for none, nor do those that this machine
// only forwards: no peer, and nobody behind a gateway, can have a person asked to
// sign in.
func Wanted(s *local.Status, now time.Time) (afresh, yes bool) {
	for _, r := range s.Refusals {
		stronger, could := r.StepsUp()
		if could && slices.Contains(s.Own(), r.Src.Addr()) && now.Sub(r.Time) <= lately {
			afresh, yes = afresh || stronger, true
		}
	}
	return afresh, yes
}
