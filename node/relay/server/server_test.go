package server_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/coordinator/wire/key"
	"github.com/cordonmesh/cordon/node/relay"
	"github.com/cordonmesh/cordon/node/relay/relaytest"
	"github.com/cordonmesh/cordon/node/relay/server"
)

func TestMain(m *testing.M) {
	if os.Getenv(crowdVariable) != "" {
		if err := beCrowd(); err != nil {
			fmt.Fprintln(os.Stderr, "crowd:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

func TestDatagramsGoToWhomTheyAreAddressed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := relaytest.NewMesh()
		s := relaytest.New(t, server.Config{}, m)
		a, b, c := m.Connect(t, relaytest.Pipe(s)), m.Connect(t, relaytest.Pipe(s)), m.Connect(t, relaytest.Pipe(s))
		for _, n := range []*relaytest.Node{a, b, c} {
			n.Up(t)
		}
		long := strings.Repeat("x", relay.MaxDatagram)
		for i, text := range []string{"to b", long, "."} {
			if !a.Send(b.Public(), []byte(text)) || !b.Send(a.Public(), []byte(fmt.Sprint("back ", i))) {
				t.Fatal("not sent")
			}
			b.Expect(t, a, text)
			a.Expect(t, b, fmt.Sprint("back ", i))
		}
		if a.Send(b.Public(), nil) || a.Send(b.Public(), []byte(long+"x")) {
			t.Fatal("sent what is no datagram")
		}
		synctest.Wait()
		if len(c.In) != 0 {
			t.Fatal("a third node received", <-c.In)
		}
		if got := s.Stats(); got.Frames != 6 || got.Clients != 3 || got.Dropped != 0 {
			t.Fatalf("%+v", got)
		}
	})
}

// A35: a ticket opens nothing without its node's key, and nobody speaks to nodes
// of another mesh, though one relay serves both.
func TestNobodyReachesAnotherMesh_A35(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, other := relaytest.NewMesh(), relaytest.NewMesh()
		s := relaytest.New(t, server.Config{}, m, other)
		a, b := m.Connect(t, relaytest.Pipe(s)), other.Connect(t, relaytest.Pipe(s))
		a.Up(t)
		b.Up(t)
		if !a.Send(b.Public(), []byte("hello")) {
			t.Fatal("not sent")
		}
		if gone := <-a.Gone; gone != b.Public() {
			t.Fatal(gone)
		}
		synctest.Wait()
		if len(b.In) != 0 || s.Stats().Frames != 0 {
			t.Fatal("a datagram of another mesh arrived")
		}
	})
}

// stranger speaks the first words with s as it likes.
func stranger(s *server.Server, answer func(relay.Challenge, relay.Binding) []byte) (relay.Type, []byte, error) {
	near, far := net.Pipe()
	defer near.Close()
	binding := relay.Binding{1, 2, 3}
	done := make(chan struct{})
	go func() { s.Serve(far, binding); close(done) }()
	defer func() { near.Close(); <-done }()
	_, body, err := relay.ReadFrame(near, make([]byte, 512))
	if err != nil {
		return 0, nil, err
	}
	c, err := relay.ParseChallenge(body)
	if err != nil {
		return 0, nil, err
	}
	go near.Write(answer(c, binding))
	return relay.ReadFrame(near, make([]byte, 512))
}

// A35, A36: what somebody shows who is not the node that it says it is.
func TestStrangersAreRefused_A35_A36(t *testing.T) {
	m, foreign := relaytest.NewMesh(), relaytest.NewMesh()
	node, thief := key.NewNode(), key.NewNode()
	ticket := m.Ticket(node.Public(), time.Hour)
	hello := func(k *key.NodePrivate, ticket []byte, change func(*relay.Hello)) func(relay.Challenge, relay.Binding) []byte {
		return func(c relay.Challenge, b relay.Binding) []byte {
			h := relay.NewHello(k, c, b, relay.Instance{}, ticket)
			if change != nil {
				change(&h)
			}
			return h.Append(nil)
		}
	}
	forged := append([]byte(nil), ticket...)
	forged[12] ^= 1
	early := m.TicketOf(wire.RelayPermit{Node: node.Public(), NotBefore: time.Now().Add(time.Hour), NotAfter: time.Now().Add(2 * time.Hour)})
	for name, tt := range map[string]struct {
		say  func(relay.Challenge, relay.Binding) []byte
		want relay.Code
	}{
		"ticket of another node":      {hello(&thief, ticket, nil), relay.BadTicket},
		"another node's key and name": {hello(&thief, ticket, func(h *relay.Hello) { h.Node = node.Public() }), relay.BadProof},
		"proof of another challenge": {func(_ relay.Challenge, b relay.Binding) []byte {
			return hello(&node, ticket, nil)(relay.Challenge{}, b)
		}, relay.BadProof},
		"proof of another connection": {func(c relay.Challenge, _ relay.Binding) []byte { return hello(&node, ticket, nil)(c, relay.Binding{9}) }, relay.BrokenTLS},
		"ticket that ended":           {hello(&node, m.Ticket(node.Public(), -time.Second), nil), relay.BadTicket},
		"ticket of tomorrow":          {hello(&node, early, nil), relay.BadTicket},
		"ticket of another mesh":      {hello(&node, foreign.Ticket(node.Public(), time.Hour), nil), relay.BadTicket},
		"forged ticket":               {hello(&node, forged, nil), relay.BadTicket},
		"no ticket":                   {hello(&node, nil, nil), relay.BadTicket},
		"a datagram instead of a name": {func(relay.Challenge, relay.Binding) []byte {
			return relay.Append(nil, relay.TypeSend, make([]byte, 40))
		}, relay.Malformed},
		"no frame at all": {func(relay.Challenge, relay.Binding) []byte { return []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n") }, relay.Malformed},
	} {
		t.Run(name, func(t *testing.T) {
			s := relaytest.New(t, server.Config{}, m)
			kind, body, err := stranger(s, tt.say)
			if err != nil || kind != relay.TypeRefused {
				t.Fatalf("type %#x, %v", kind, err)
			}
			if code, text, _ := relay.ParseText(body); relay.Code(code) != tt.want || text == "" {
				t.Fatalf("code %d %q, want %d", code, text, tt.want)
			}
			if got := s.Stats(); got.Clients != 0 || got.Refused != 1 {
				t.Fatalf("%+v", got)
			}
		})
	}
	s := relaytest.New(t, server.Config{}, m)
	if kind, _, err := stranger(s, hello(&node, ticket, nil)); err != nil || kind != relay.TypeWelcome {
		t.Fatalf("the node itself: type %#x, %v", kind, err)
	}
}

// A stranger who says nothing, or says it slowly, is not waited for.
func TestSilentStrangerEnds_A35(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := relaytest.New(t, server.Config{}, relaytest.NewMesh())
		near, far := net.Pipe()
		go io.Copy(io.Discard, near)
		began := time.Now()
		s.Serve(far, relay.Binding{})
		if took := time.Since(began); took > 11*time.Second {
			t.Fatal("served for", took)
		}
	})
}

func TestRelayHasTheLastWord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := relaytest.NewMesh()
		var removed atomic.Pointer[key.NodePublic] // the relay asks a second time, once it has told the node that it is in
		s := relaytest.New(t, server.Config{Admit: func(p wire.RelayPermit) error {
			if gone := removed.Load(); gone != nil && p.Node == *gone {
				return errors.New("removed a moment ago")
			}
			return nil
		}}, m)
		a := m.Connect(t, relaytest.Pipe(s))
		a.Up(t)
		gone := a.Public()
		removed.Store(&gone)
		s.Drop(gone, "removed from the mesh")
		for range 2 { // once in the connection, once at the door
			var refused *relay.RefusedError
			if err := a.Down(t); !errors.As(err, &refused) || refused.Code != relay.Denied {
				t.Fatal(err)
			}
			time.Sleep(2 * time.Minute)
		}
	})
}

func TestConfigSaysWhatIsWrong(t *testing.T) {
	root := []key.Fingerprint{{1}}
	for want, cfg := range map[string]server.Config{
		"Roots":        {},
		"MaxClients":   {Roots: root, MaxClients: -1},
		"MaxPerSource": {Roots: root, MaxPerSource: -1},
		"Rate":         {Roots: root, Rate: 1000},
		"QueueBytes":   {Roots: root, QueueBytes: 1000},
	} {
		if _, err := server.New(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}
