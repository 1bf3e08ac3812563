package registry_test

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/cordonmesh/cordon/coordinator/internal/registry"
	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/coordinator/wire/key"
)

// model is the registry told again in the plainest way.
type model struct {
	*mesh
	boxes   []*machine // who may ask; made once, since keys are dear
	tokens  map[string]*modelToken
	nodes   map[string]*modelNode // by id
	revoked map[string]bool
	given   map[netip.Addr]string // every address ever given, and to whom
	policy  string
	epoch   uint64
}

type modelToken struct {
	uses    uint32
	expires time.Time
	revoked bool
}

type modelNode struct {
	token    string
	sequence uint64
	approved bool
}

// refusal says what the enrolment of a machine must give.
func (m *model) refusal(box *machine, secret string) error {
	t, ok := m.tokens[secret]
	n, known := m.nodes[box.id()]
	switch {
	case !ok || t.revoked || !m.now.Before(t.expires):
		return registry.ErrToken
	case m.revoked[box.id()]:
		return registry.ErrRevokedKey
	case known && n.token != secret:
		return registry.ErrKnownKey
	case !known && t.uses == 0:
		return registry.ErrToken
	}
	return nil
}

func (m *model) box(t *rapid.T) *machine { return rapid.SampledFrom(m.boxes).Draw(t, "machine") }

func (m *model) secret(t *rapid.T) string {
	return rapid.SampledFrom([]string{"t0", "t1", "t2", "t3"}).Draw(t, "token")
}

// send tries a command, and checks what holds of every decision.
func (m *model) send(t *rapid.T, c registry.Command, want error) registry.Result {
	before, text := m.state, m.encoded()
	r, err := m.try(c)
	if !errors.Is(err, want) || (err != nil) != (want != nil) {
		t.Fatalf("%+v gives %v, want %v", c, err, want)
	}
	if after := m.state.Revision - before.Revision; after != uint64(len(m.last.Entries)) {
		t.Fatalf("%T: %d events moved the revision by %d", c, len(m.last.Entries), after)
	}
	if len(m.last.Entries) > 0 && len(m.last.Records) == 0 {
		t.Fatalf("%T changed something without a record", c)
	}
	replayed := before
	for _, e := range m.last.Entries {
		b, err := registry.EncodeEntry(e)
		if err != nil {
			t.Fatal(err)
		}
		back, err := registry.DecodeEntry(e.Revision, b)
		if err != nil {
			t.Fatal(err)
		}
		replayed = registry.Apply(replayed, back)
	}
	live := m.encoded()
	m.state = replayed
	if again := m.encoded(); again != live {
		t.Fatalf("%T: the journal gives\n%s\nthe decision\n%s", c, again, live)
	}
	m.state = before
	if m.encoded() != text {
		t.Fatalf("%T changed the state that readers hold", c)
	}
	m.state = m.last.Next
	return r
}

func (m *model) enrol(t *rapid.T) {
	box, secret := m.box(t), m.secret(t)
	want := m.refusal(box, secret)
	_, known := m.nodes[box.id()]
	r := m.send(t, box.enrol(secret, rapid.SampledFrom([]string{"a", "b", "A.b", ""}).Draw(t, "name")), want)
	if want != nil || known {
		return
	}
	m.tokens[secret].uses--
	m.nodes[box.id()] = &modelNode{token: secret, sequence: 1, approved: true}
	for _, a := range r.Node.Addresses {
		if other, taken := m.given[a]; taken {
			t.Fatalf("%v was given to %s before", a, other)
		}
		m.given[a] = box.id()
	}
}

func (m *model) report(t *rapid.T) {
	box, sequence := m.box(t), rapid.Uint64Range(1, 4).Draw(t, "sequence")
	n, known := m.nodes[box.id()]
	var want error
	switch {
	case !known:
		want = registry.ErrNotFound
	case sequence < n.sequence:
		want = registry.ErrStale
	}
	routes := []netip.Prefix{route}[:rapid.IntRange(0, 1).Draw(t, "routes")]
	m.send(t, registry.Report{Node: box.id(), Statement: box.statement(sequence), Advertised: routes, OS: "linux", Version: "1"}, want)
	if want == nil {
		n.sequence = sequence
	}
}

func (m *model) remove(t *rapid.T) {
	id := m.box(t).id()
	if _, known := m.nodes[id]; !known {
		m.send(t, registry.RemoveNode{Node: id}, registry.ErrNotFound)
		return
	}
	m.send(t, registry.RemoveNode{Node: id}, nil)
	delete(m.nodes, id)
	m.revoked[id] = true
	m.epoch++
}

func (m *model) createToken(t *rapid.T) {
	id, uses := m.secret(t), rapid.Uint32Range(1, 3).Draw(t, "uses")
	c := registry.CreateToken{ID: id, Secret: registry.HashSecret(id), Kind: registry.EnrolToken, Tags: []string{"tag:router"}, Uses: uses}
	if _, taken := m.tokens[id]; taken {
		m.send(t, c, registry.ErrExists)
		return
	}
	m.send(t, c, nil)
	m.tokens[id] = &modelToken{uses: uses, expires: m.now.Add(time.Hour)}
}

func (m *model) revokeToken(t *rapid.T) {
	id := m.secret(t)
	if _, known := m.tokens[id]; !known {
		m.send(t, registry.RevokeToken{ID: id}, registry.ErrNotFound)
		return
	}
	m.send(t, registry.RevokeToken{ID: id}, nil)
	m.tokens[id].revoked = true
}

func (m *model) setPolicy(t *rapid.T) {
	text := rapid.SampledFrom([]string{"{}", routerPolicy}).Draw(t, "policy")
	r := m.send(t, registry.SetPolicy{Text: text, File: "p"}, nil)
	if r.Changed == (m.policy == text) {
		t.Fatalf("policy %q over %q: changed %t", text, m.policy, r.Changed)
	}
	m.policy = text
}

// check compares what readers see with the model.
func (m *model) check(t *rapid.T) {
	names := map[string]bool{}
	for n := range m.state.Nodes() {
		if m.nodes[n.ID] == nil || names[n.Name] || n.Sequence != m.nodes[n.ID].sequence {
			t.Fatalf("node %s (%s) is not as it should be", n.ID, n.Name)
		}
		names[n.Name] = true
		byPolicy := len(n.Advertised) == 1 && m.policy == routerPolicy
		if byPolicy != (len(n.Routes()) == 1) {
			t.Fatalf("node %s carries %v under policy %q", n.ID, n.Routes(), m.policy)
		}
		if got, ok := m.state.NodeByKey(n.Key); !ok || got != n {
			t.Fatalf("node %s is not found by its key", n.ID)
		}
		if got, ok := m.state.NodeByName(n.Name); !ok || got != n {
			t.Fatalf("node %s is not found by its name", n.ID)
		}
	}
	for id, tok := range m.tokens {
		got, ok := m.state.TokenBySecret(registry.HashSecret(id))
		if !ok || got.UsesLeft != tok.uses || got.Revoked != tok.revoked {
			t.Fatalf("token %s is %+v, want %+v", id, got, tok)
		}
	}
	if m.state.NodeCount() != len(m.nodes) || len(m.state.Revocations()) != len(m.revoked) || m.state.Epoch != m.epoch {
		t.Fatalf("%d nodes, %d revocations, epoch %d", m.state.NodeCount(), len(m.state.Revocations()), m.state.Epoch)
	}
	decoded, err := registry.DecodeState([]byte(m.encoded()))
	if err != nil {
		t.Fatal(err)
	}
	live := m.encoded()
	old := m.state
	m.state = decoded
	if m.encoded() != live {
		t.Fatal("a checkpoint does not give the state back")
	}
	m.state = old
}

func TestModel(t *testing.T) {
	boxes := make([]*machine, 6)
	for i := range boxes {
		boxes[i] = newMachine()
	}
	rapid.Check(t, func(t *rapid.T) {
		m := &model{mesh: begin(t), boxes: boxes, tokens: map[string]*modelToken{}, nodes: map[string]*modelNode{},
			revoked: map[string]bool{}, given: map[netip.Addr]string{}}
		t.Repeat(map[string]func(*rapid.T){
			"enrol": m.enrol, "enrol too": m.enrol, "report": m.report, "remove": m.remove,
			"create token": m.createToken, "revoke token": m.revokeToken, "set policy": m.setPolicy,
			"wait": func(t *rapid.T) {
				m.now = m.now.Add(time.Duration(rapid.IntRange(1, 40).Draw(t, "minutes")) * time.Minute)
			},
			"": m.check,
		})
	})
}

func TestDecodeStateRefuses(t *testing.T) {
	m := begin(t)
	m.join("a", registry.CreateToken{})
	m.join("b", registry.CreateToken{})
	for name, spoil := range map[string]func(a, b *registry.Node){
		"one name twice":       func(a, b *registry.Node) { b.Name = a.Name },
		"one address twice":    func(a, b *registry.Node) { b.Addresses = a.Addresses },
		"one tunnel key twice": func(a, b *registry.Node) { b.TunnelKey = a.TunnelKey },
		"another id":           func(a, b *registry.Node) { b.ID = "n-1" },
		"no key":               func(a, b *registry.Node) { b.Key, b.ID = key.NodePublic{}, wire.NodeID(key.NodePublic{}) },
		"twice":                func(a, b *registry.Node) { b.ID, b.Key = a.ID, a.Key },
	} {
		a, _ := m.state.FindNode("a")
		b, _ := m.state.FindNode("b")
		copyA, copyB := *a, *b
		spoil(&copyA, &copyB)
		bad := registry.Apply(m.state, registry.Entry{Event: registry.NodeChanged{Node: copyB}})
		// The registry can't get there; a hand that writes JSON can.
		text, err := registry.EncodeState(bad)
		if err != nil {
			continue // a key that is none has no text
		}
		if name == "twice" {
			text = []byte(duplicateFirstNode(string(text)))
		}
		if _, err := registry.DecodeState(text); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	for _, text := range []string{"", "{}", `{"v":2}`, `{"v":1,"unknown":1}`, m.encoded() + "{}", "null", "[]"} {
		if _, err := registry.DecodeState([]byte(text)); err == nil {
			t.Errorf("%.40q is a state", text)
		}
	}
}

func duplicateFirstNode(text string) string {
	const mark = `"nodes":[`
	var depth, start int
	for i := range text {
		switch {
		case start == 0 && i >= len(mark) && text[i-len(mark):i] == mark:
			start = i
		}
		if start > 0 && text[i] == '{' {
			depth++
		}
		if start > 0 && text[i] == '}' {
			if depth--; depth == 0 {
				return text[:start] + text[start:i+1] + "," + text[start:]
			}
		}
	}
	return fmt.Sprint(text, "no nodes")
}

func FuzzDecode(f *testing.F) {
	m := begin(f)
	m.join("a", registry.CreateToken{})
	m.do(registry.SetPolicy{Text: routerPolicy})
	f.Add([]byte(m.encoded()))
	for _, e := range m.last.Entries {
		b, err := registry.EncodeEntry(e)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte(`{"v":1,"kind":"node-removed","time":"2026-11-23T12:00:00Z","data":{}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, err := registry.DecodeState(b); err == nil {
			if _, err := registry.EncodeState(s); err != nil {
				t.Fatalf("what was read can't be written: %v", err)
			}
		}
		if e, err := registry.DecodeEntry(1, b); err == nil {
			registry.Apply(&registry.State{}, e)
		}
	})
}

func TestNewerEventIsRefused(t *testing.T) {
	for _, text := range []string{
		`{"v":2,"kind":"token-revoked","time":"2026-11-23T12:00:00Z","data":{"id":"x"}}`,
		`{"v":1,"kind":"token-renamed","time":"2026-11-23T12:00:00Z","data":{"id":"x"}}`,
		`{"v":1,"kind":"token-revoked","time":"2026-11-23T12:00:00Z","data":{"id":"x","why":"y"}}`,
	} {
		if _, err := registry.DecodeEntry(1, []byte(text)); err == nil {
			t.Errorf("%s was read", text)
		}
	}
}
