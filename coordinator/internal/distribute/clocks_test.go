package distribute_test

import (
	"testing"
	"time"

	"github.com/cordonmesh/cordon/coordinator/internal/registry"
)

const proofs = `{"tagOwners": {"tag:ehr": []}, "grants": [
  {"id": "fresh", "src": ["ana@clinic.example"], "dst": ["tag:ehr"], "ip": ["443"], "when": {"mfa": {"within": "15m"}}},
  {"id": "idle", "src": ["ana@clinic.example"], "dst": ["tag:ehr"], "ip": ["444"], "when": {"idle": "10m"}}]}`

func (w *world) signIn(n *node, id string) {
	w.t.Helper()
	w.do(registry.BeginSession{ID: id, Node: n.id, Life: 12 * time.Hour, Who: registry.Identity{
		Issuer: "https://id.example", Subject: "ana", Login: "ana@clinic.example", AMR: []string{"pwd", "otp"}, At: time.Now()}})
}

// A replica whose clock is ahead for a while neither prolongs a right nor takes one
// from whoever signs in when it is right again.
func TestObservationByAClockThatIsAhead(t *testing.T) {
	for _, ahead := range []time.Duration{time.Hour, -time.Hour, 8 * time.Hour} {
		play(t, proofs, func(t *testing.T, w *world) {
			all := join(w, "tag:ehr")
			ana := w.enrol()
			ana.connect()
			all = append(all, ana)
			defer leaveAll(all)
			late()
			w.ahead.Store(int64(ahead))
			w.do(onDuty("cem@clinic.example"))
			w.ahead.Store(0)
			w.signIn(ana, "s1")
			now := time.Now()
			rest()
			got := all[0].factsOf(ana)
			if len(got) != 2 {
				t.Fatalf("a clock was ahead by %s: who signed in has the facts %+v", ahead, got)
			}
			for _, f := range got {
				if f.Until.After(now.Add(15*time.Minute)) || f.Until.Before(now.Add(9*time.Minute)) {
					t.Errorf("a clock was ahead by %s: at %s the facts %+v", ahead, now, got)
				}
			}
		})
	}
}
