package registry_test

import (
	"encoding/json"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/cordonmesh/cordon/coordinator/internal/registry"
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

	awaits bool // the policy awaits confirmation
	before string
	until  time.Time
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
	live := m.encoded()
	m.state = replayed(t, before, m.last.Entries)
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
	c := registry.SetPolicy{Text: text, File: "p", ConfirmWithin: time.Duration(rapid.IntRange(0, 1).Draw(t, "hours")) * time.Hour}
	switch {
	case m.awaits:
		m.send(t, c, registry.ErrUnconfirmed)
		return
	case c.ConfirmWithin != 0 && m.policy == "":
		m.send(t, c, registry.ErrInvalid)
		return
	}
	r := m.send(t, c, nil)
	if r.Changed == (m.policy == text) {
		t.Fatalf("policy %q over %q: changed %t", text, m.policy, r.Changed)
	}
	if r.Changed && c.ConfirmWithin != 0 {
		m.awaits, m.before, m.until = true, m.policy, m.now.Add(c.ConfirmWithin)
	}
	m.policy = text
}

func (m *model) confirm(t *rapid.T) {
	switch {
	case m.awaits && !m.now.Before(m.until):
		m.send(t, registry.ConfirmPolicy{}, registry.ErrStale)
	case m.awaits:
		m.send(t, registry.ConfirmPolicy{}, nil)
		m.awaits = false
	}
}

func (m *model) rollBack(t *rapid.T) {
	if !m.awaits {
		m.send(t, registry.RollBackPolicy{}, registry.ErrInvalid)
		return
	}
	m.send(t, registry.RollBackPolicy{}, nil)
	m.awaits, m.policy = false, m.before
}

// check compares what readers see with the model.
func (m *model) check(t *rapid.T) {
	names := map[string]bool{}
	var advertise, carry int
	for n := range m.state.Nodes() {
		if m.nodes[n.ID] == nil || names[n.Name] || n.Sequence != m.nodes[n.ID].sequence {
			t.Fatalf("node %s (%s) is not as it should be", n.ID, n.Name)
		}
		names[n.Name] = true
		advertise += len(n.Advertised)
		carry += len(n.Routes())
		if got, ok := m.state.NodeByKey(n.Key); !ok || got != n {
			t.Fatalf("node %s is not found by its key", n.ID)
		}
		if got, ok := m.state.NodeByName(n.Name); !ok || got != n {
			t.Fatalf("node %s is not found by its name", n.ID)
		}
	}
	want := 0 // a prefix has one gateway, and the policy finds another when that goes
	if m.policy == routerPolicy {
		want = min(1, advertise)
	}
	if carry != want {
		t.Fatalf("%d of %d nodes carry the route under policy %q", carry, advertise, m.policy)
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
			"create token": m.createToken, "revoke token": m.revokeToken, "set policy": m.setPolicy, "confirm": m.confirm, "roll back": m.rollBack,
			"wait": func(t *rapid.T) {
				m.now = m.now.Add(time.Duration(rapid.IntRange(1, 40).Draw(t, "minutes")) * time.Minute)
			},
			"": m.check,
		})
	})
}

// A registry never writes such a state; a hand that edits JSON can.
func TestDecodeStateRefuses(t *testing.T) {
	m := begin(t)
	m.join("a", registry.CreateToken{})
	m.join("b", registry.CreateToken{})
	a, b, text := m.node("a"), m.node("b"), m.encoded()
	revocation, err := json.Marshal(registry.Revocation{Key: b.Key, Node: b.ID, Epoch: 1})
	if err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string]string{
		"one name twice":       strings.Replace(text, `"name":"b"`, `"name":"a"`, 1),
		"one address twice":    strings.Replace(text, b.Addresses[0].String(), a.Addresses[0].String(), 1),
		"one tunnel key twice": strings.Replace(text, b.TunnelKey.String(), a.TunnelKey.String(), 1),
		"another id":           strings.Replace(text, `"id":"`+b.ID, `"id":"n-1`, 1),
		"a revoked key":        strings.Replace(text, `"revocations":null`, `"revocations":[`+string(revocation)+`]`, 1),
		"a node twice":         duplicateFirstNode(text),
		"nothing":              "", "an empty object": "{}", "a newer version": strings.Replace(text, `"v":1`, `"v":2`, 1),
		"an unknown field": strings.Replace(text, `"v":1`, `"v":1,"w":1`, 1), "more behind it": text + "{}", "null": "null", "a list": "[]",
	} {
		if bad == text {
			t.Fatalf("%s: the text is as it was", name)
		}
		if _, err := registry.DecodeState([]byte(bad)); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

// duplicateFirstNode repeats the first object of the list of nodes.
func duplicateFirstNode(text string) string {
	const mark = `"nodes":[`
	start, depth := strings.Index(text, mark)+len(mark), 0
	for i := start; i < len(text); i++ {
		switch text[i] {
		case '{':
			depth++
		case '}':
			depth--
		}
		if depth == 0 {
			return text[:start] + text[start:i+1] + "," + text[start:]
		}
	}
	return text
}

// A null is no node, token or policy: whoever wrote that was not a registry.
func TestNullInCheckpointIsRefused(t *testing.T) {
	m := begin(t)
	m.join("a", registry.CreateToken{})
	m.do(registry.SetPolicy{Text: routerPolicy})
	for _, list := range []string{`"nodes":[`, `"tokens":[`, `"policies":[`} {
		text := strings.Replace(m.encoded(), list, list+"null,", 1)
		if _, err := registry.DecodeState([]byte(text)); err == nil || text == m.encoded() {
			t.Errorf("%snull was read", list)
		}
	}
	if _, err := registry.DecodeState([]byte(`{"v":1}`)); err == nil {
		t.Error("a checkpoint of no mesh was read")
	}
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
	f.Add([]byte(`{"v":1,"kind":"policy-confirmed","time":"2026-11-23T12:00:00Z","data":{"by":"x"}}`))
	f.Add([]byte(`{"v":1,"kind":"node-removed","time":"2026-11-23T12:00:00Z","data":{}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, err := registry.DecodeState(b); err == nil {
			again, err := registry.EncodeState(s)
			if err != nil {
				t.Fatalf("what was read can't be written: %v", err)
			}
			if _, err := registry.DecodeState(again); err != nil {
				t.Fatalf("what was written can't be read: %v", err)
			}
			if len(again) > 8*len(b)+1024 {
				t.Fatalf("%d bytes became %d", len(b), len(again))
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
