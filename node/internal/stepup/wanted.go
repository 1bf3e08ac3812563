package stepup

import (
	"slices"
	"time"

	"github.com/cordonmesh/cordon/node/local"
)

// lately is how old a refusal may be for which a sign-in is opened: whoever wanted
// that flow is still there.
const lately = time.Minute

// Proof is what a sign-in has to bring.
type Proof struct {
	Afresh bool   // of after it began
	ACR    string // of that level; empty: of any
}

// Wanted tells whether a sign-in would open a flow that this machine itself wanted
// in the minute before now, in policy time, and which proof it has to bring. A proof has
// one level: that for what was refused last. Packets that come in ask for none, nor do
// those that this machine only forwards: no peer, and nobody behind a gateway, can have a
// person asked to sign in.
func Wanted(s *local.Status, now time.Time) (proof Proof, yes bool) {
	var last time.Time
	for _, r := range s.Refusals {
		stronger, could := r.StepsUp()
		if !could || !slices.Contains(s.Own(), r.Src.Addr()) || now.Sub(r.Time) > lately {
			continue
		}
		proof.Afresh = proof.Afresh || stronger
		if !yes || r.Time.After(last) {
			last, proof.ACR = r.Time, r.Level()
		}
		yes = true
	}
	return proof, yes
}
