package server_test

import (
	"io"
	"net"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/coordinator/wire/key"
	"github.com/cordonmesh/cordon/node/relay"
	"github.com/cordonmesh/cordon/node/relay/relaytest"
	"github.com/cordonmesh/cordon/node/relay/server"
)

// FuzzClientOfTheRelay has an admitted client say whatever it likes. Another one
// is given nothing but datagrams of that client's own key, and in the end nobody
// is there any more.
func FuzzClientOfTheRelay(f *testing.F) {
	m := relaytest.NewMesh()
	other, err := key.ParseNodePrivate("private-node:0101010101010101010101010101010101010101010101010101010101010101")
	if err != nil {
		f.Fatal(err)
	}
	to := other.Public().Bytes()
	f.Add(relay.Append(nil, relay.TypeSend, to, []byte("hello")))
	f.Add(relay.Append(relay.Append(nil, relay.TypePing, make([]byte, 8)), relay.TypeSend, to, make([]byte, 3000)))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := server.New(server.Config{Roots: []key.Fingerprint{m.Fingerprint()}})
		if err != nil {
			t.Fatal(err)
		}
		defer relaytest.Stop(s)
		listener, fuzzed := enter(t, s, m, other), enter(t, s, m, key.NewNode())
		heard := make(chan error, 1)
		go func() { heard <- listener.onlyFrom(fuzzed.key.Public(), other.Public()) }()
		go io.Copy(io.Discard, fuzzed)
		fuzzed.SetWriteDeadline(time.Now().Add(5 * time.Second))
		fuzzed.Write(b)
		fuzzed.Close()
		for s.Stats().Clients > 1 {
			time.Sleep(50 * time.Microsecond)
		}
		listener.Close()
		if err := <-heard; err != nil {
			t.Fatal(err)
		}
		relaytest.Stop(s)
		if n := s.Stats().Clients; n != 0 {
			t.Fatal(n, "clients left")
		}
	})
}

func enter(t *testing.T, s *server.Server, m *relaytest.Mesh, k key.NodePrivate) *raw {
	near, far := net.Pipe()
	go s.Serve(far, relay.Binding{})
	r := &raw{near, k, make([]byte, relay.MaxBody)}
	c, err := relay.ParseChallenge(r.next(t, relay.TypeChallenge))
	if err != nil {
		t.Fatal(err)
	}
	r.Write(relay.NewHello(&k, c, relay.Binding{}, relay.NewInstance(), m.Ticket(k.Public(), time.Hour)).Append(nil))
	r.next(t, relay.TypeWelcome)
	return r
}

// onlyFrom reads to the end, and says what came that should not have.
func (r *raw) onlyFrom(source, own key.NodePublic) error {
	for {
		kind, body, err := relay.ReadFrame(r, r.buf)
		if err != nil {
			return nil
		}
		from, _, err := relay.ParseDatagram(body)
		if kind != relay.TypeRecv || err != nil || from != source && from != own {
			return &relay.RefusedError{Code: relay.Code(kind), Text: "came from " + from.String()}
		}
	}
}
