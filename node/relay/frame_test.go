package relay_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/cordonmesh/cordon/coordinator/wire/key"
	"github.com/cordonmesh/cordon/node/relay"
)

func TestFramesComeBackAsTheyWere(t *testing.T) {
	node := key.NewNode()
	peer := node.Public()
	c := relay.NewChallenge()
	h := relay.NewHello(&node, c, relay.Binding{7}, relay.NewInstance(), []byte("ticket"))
	var b []byte
	b = c.Append(b)
	b = h.Append(b)
	b = relay.AppendWelcome(b, 1<<40)
	b = relay.Append(b, relay.TypeSend, peer.Bytes(), []byte("sealed"))
	b = relay.Append(b, relay.TypePeerGone, peer.Bytes(), []byte{byte(relay.NotHere)})
	b = relay.AppendText(b, relay.TypeNotice, byte(relay.Draining), "back\x1b[2Jin 5 s\n"+strings.Repeat("x", 500))
	r, buf := bytes.NewReader(b), make([]byte, relay.MaxBody)
	next := func(want relay.Type) []byte {
		t.Helper()
		got, body, err := relay.ReadFrame(r, buf)
		if err != nil || got != want {
			t.Fatalf("type %#x, %v; want %#x", got, err, want)
		}
		return body
	}
	if got, err := relay.ParseChallenge(next(relay.TypeChallenge)); err != nil || got != c {
		t.Fatal(got, err)
	}
	if got, err := relay.ParseHello(next(relay.TypeHello)); err != nil || !bytes.Equal(got.Append(nil), h.Append(nil)) {
		t.Fatal(got, err)
	}
	if got, err := relay.ParseWelcome(next(relay.TypeWelcome)); err != nil || got != 1<<40 {
		t.Fatal(got, err)
	}
	if to, datagram, err := relay.ParseDatagram(next(relay.TypeSend)); err != nil || to != peer || string(datagram) != "sealed" {
		t.Fatal(to, datagram, err)
	}
	if who, why, err := relay.ParsePeerGone(next(relay.TypePeerGone)); err != nil || who != peer || why != relay.NotHere {
		t.Fatal(who, why, err)
	}
	kind, text, err := relay.ParseText(next(relay.TypeNotice))
	if err != nil || kind != byte(relay.Draining) || !strings.HasPrefix(text, "back?[2Jin 5 s?xx") || len(text) != 200 {
		t.Fatal(kind, text, err)
	}
	if _, _, err := relay.ReadFrame(r, buf); err != io.EOF {
		t.Fatal(err)
	}
}

func TestFrameLongerThanAnyIsRefusedUnread(t *testing.T) {
	if _, _, err := relay.ParseHeader([4]byte{0x10, 0xff, 0xff, 0xff}); !errors.Is(err, relay.ErrFrame) {
		t.Fatal(err)
	}
	b := relay.Append(nil, relay.TypeHello, make([]byte, 65))
	if _, _, err := relay.ReadFrame(bytes.NewReader(b), make([]byte, 64)); !errors.Is(err, relay.ErrFrame) {
		t.Fatal(err)
	}
}

// A35, A36: a proof is good for one key, one challenge and one connection.
func TestProofIsForOneConnection_A35_A36(t *testing.T) {
	node, other := key.NewNode(), key.NewNode()
	c, b := relay.NewChallenge(), relay.Binding{1}
	good := relay.NewHello(&node, c, b, relay.Instance{}, nil)
	if err := good.Verify(c, b); err != nil {
		t.Fatal(err)
	}
	if err := good.Verify(relay.NewChallenge(), b); !errors.Is(err, relay.ErrProof) {
		t.Fatal("another challenge:", err)
	}
	// What a hostile relay would pass on to another relay.
	if err := good.Verify(c, relay.Binding{2}); !errors.Is(err, relay.ErrTLSBroken) {
		t.Fatal("another connection:", err)
	}
	moved := good
	moved.Binding = relay.Binding{2}
	if err := moved.Verify(c, relay.Binding{2}); !errors.Is(err, relay.ErrProof) {
		t.Fatal("the binding was exchanged:", err)
	}
	stolen := good
	stolen.Node = other.Public()
	if err := stolen.Verify(c, b); !errors.Is(err, relay.ErrProof) {
		t.Fatal("another node's key:", err)
	}
	if err := (relay.Hello{}).Verify(c, relay.Binding{}); !errors.Is(err, relay.ErrProof) {
		t.Fatal("no key:", err)
	}
}

// FuzzFrames reads whatever the other side may send, as either side does.
func FuzzFrames(f *testing.F) {
	f.Fuzz(func(t *testing.T, b []byte) {
		r, buf := bytes.NewReader(b), make([]byte, relay.MaxBody)
		for {
			kind, body, err := relay.ReadFrame(r, buf)
			if err != nil {
				return
			}
			if h, err := relay.ParseHello(body); err == nil {
				if !bytes.Equal(h.Append(nil)[relay.HeaderSize:], body) {
					t.Fatalf("%x reads as %+v", body, h)
				}
				if h.Verify(relay.Challenge{}, h.Binding) == nil {
					t.Fatal("a proof from nowhere")
				}
			}
			if peer, datagram, err := relay.ParseDatagram(body); err == nil &&
				!bytes.Equal(relay.Append(nil, kind, peer.Bytes(), datagram)[relay.HeaderSize:], body) {
				t.Fatalf("%x reads as a datagram for %s", body, peer)
			}
			if _, text, err := relay.ParseText(body); err == nil && strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' }) {
				t.Fatalf("text %q", text)
			}
			_, _ = relay.ParseChallenge(body)
			_, _ = relay.ParseWelcome(body)
			_, _, _ = relay.ParsePeerGone(body)
			_, _ = relay.ParsePing(body)
		}
	})
}
