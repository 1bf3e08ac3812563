package registry_test

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/cordonmesh/cordon/coordinator/internal/registry"
)

// Two seats never share an address, nor one with a node, and none moves to another
// machine; whatever is done, as the journal and the checkpoint tell it. And nobody has
// an address while a peer that hears nothing, and whose clock is a minute behind, takes
// it for somebody else's.
func TestAddressesAreOneHoldersAlone(t *testing.T) {
	boxes := []*machine{newMachine(), newMachine()}
	const histories = 20 // of rapid's hundred, for CI's sake; each is long
	played := 0
	rapid.Check(t, func(t *rapid.T) {
		if played++; played > histories {
			return
		}
		w := &wards{mesh: begin(t), boxes: boxes, given: map[netip.Addr]string{}, believed: map[netip.Addr]belief{}}
		for i, box := range boxes {
			w.token(fmt.Sprint("w", i), registry.CreateToken{Tags: []string{"tag:ward"}})
			w.do(box.enrol(fmt.Sprint("w", i), "ward"))
		}
		t.Repeat(map[string]func(*rapid.T){
			"sit": w.sits, "sit too": w.sits, "leave": w.leaves, "checkpoint": w.checkpoint, "": w.check,
			"disable": func(t *rapid.T) { w.act(t, registry.DisableUser{User: drawLogin(t)}) },
			"enable":  func(t *rapid.T) { w.act(t, registry.EnableUser{User: drawLogin(t)}) },
			"policy":  w.drains,
			"restore": func(t *rapid.T) { w.act(t, registry.BeginIncarnation{Reason: "restored"}) },
			"remove": func(t *rapid.T) {
				if rapid.IntRange(0, 9).Draw(t, "really") == 0 {
					w.act(t, registry.RemoveNode{Node: boxes[0].id()})
				}
			},
			"wait": func(t *rapid.T) { w.now = w.now.Add(time.Duration(rapid.IntRange(1, 20).Draw(t, "hours")) * time.Hour) },
		})
	})
}

// wards are machines at which anybody sits.
type wards struct {
	*mesh
	boxes    []*machine
	given    map[netip.Addr]string // every address ever given, and at which machine
	believed map[netip.Addr]belief
}

// belief is for whom a peer takes an address, and until when.
type belief struct {
	user  string
	until time.Time
}

func drawLogin(t *rapid.T) string {
	return rapid.SampledFrom([]string{"ana@clinic.example", "ben@clinic.example", "cem@clinic.example"}).Draw(t, "login")
}

// act tries a command, and goes on with the state that its journal gives.
func (w *wards) act(t *rapid.T, c registry.Command) {
	before := w.state
	if _, err := w.try(c); err != nil {
		return
	}
	w.state = replayed(t, before, w.last.Entries)
}

func (w *wards) sits(t *rapid.T) {
	who := person(drawLogin(t))
	who.At = w.now
	w.act(t, registry.BeginSession{ID: fmt.Sprint("s-", w.state.Revision), Node: rapid.SampledFrom(w.boxes).Draw(t, "machine").id(), Who: who,
		Seat: rapid.SampledFrom([]string{"", "1000", "1001", "1002"}).Draw(t, "seat"), Life: time.Duration(rapid.IntRange(1, 12).Draw(t, "life")) * time.Hour})
}

// drains changes for how long a seat stays whose time is over.
func (w *wards) drains(t *rapid.T) {
	hours := rapid.SampledFrom([]int{1, 12, 48}).Draw(t, "drain")
	w.act(t, registry.SetPolicy{File: "p", Text: fmt.Sprintf(`{"grants": [{"src": ["*"], "dst": ["*"], "ip": ["*"], "onExpiry": "drain %dh"}]}`, hours)})
}

func (w *wards) leaves(t *rapid.T) {
	if all := w.state.SortedSessions(); len(all) > 0 {
		w.act(t, registry.EndSessions{ID: rapid.SampledFrom(all).Draw(t, "session").ID})
	}
}

func (w *wards) checkpoint(t *rapid.T) {
	text := w.encoded()
	decoded, err := registry.DecodeState([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if w.state = decoded; w.encoded() != text {
		t.Fatal("a checkpoint does not give the state back")
	}
}

func (w *wards) check(t *rapid.T) {
	holder := map[netip.Addr]string{}
	hold := func(who, machine string, all []netip.Addr) {
		for _, a := range all {
			if other, taken := holder[a]; taken {
				t.Fatalf("%s and %s both have %v", other, who, a)
			}
			if was, given := w.given[a]; given && was != machine {
				t.Fatalf("%v was at %s, and is at %s", a, was, machine)
			}
			holder[a], w.given[a] = who, machine
		}
	}
	for n := range w.state.Nodes() {
		hold("node "+n.ID, n.ID, n.Addresses)
	}
	for s := range w.state.Sessions() {
		if (s.Seat != "") != (len(s.Addresses) == 2) {
			t.Fatalf("%+v", s)
		}
		hold("session "+s.ID, s.Node, s.Addresses)
		for _, a := range s.Addresses {
			was := w.believed[a]
			if was.user != s.User && s.Live(w.now) && s.Begun.Before(was.until.Add(time.Minute)) {
				t.Fatalf("%s has %v, which peers take for %s's until %v", s.User, a, was.user, was.until)
			}
			if was.user != s.User || s.Until.After(was.until) {
				w.believed[a] = belief{s.User, s.Until}
			}
		}
	}
	for _, r := range w.state.SortedRests() {
		hold("nobody", r.Node, r.Addresses)
	}
}
