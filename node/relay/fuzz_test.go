package relay_test

import (
	"context"
	"io"
	"net"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/coordinator/wire/key"
	"github.com/cordonmesh/cordon/node/relay"
)

// FuzzRelayOfTheClient has a relay say whatever it likes after its challenge. The
// client gives on datagrams alone, ends with the connection, and sends no ticket
// but in its hello.
func FuzzRelayOfTheClient(f *testing.F) {
	k := key.NewNode()
	f.Add(relay.AppendWelcome(nil, 0))
	f.Add(relay.Append(relay.AppendWelcome(nil, 0), relay.TypeRecv, k.Public().Bytes(), []byte("x")))
	f.Add(relay.AppendText(relay.AppendWelcome(nil, 0), relay.TypeNotice, 2, "x"))
	f.Add(relay.AppendText(nil, relay.TypeRefused, 2, "x"))
	f.Fuzz(func(t *testing.T, b []byte) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		ended := make(chan struct{}, 1)
		c := relay.NewClient(relay.ClientConfig{Node: &k,
			Open: func(context.Context) (*relay.Stream, error) {
				near, far := net.Pipe()
				go func() {
					defer far.Close()
					far.Write(relay.NewChallenge().Append(nil))
					if kind, _, err := relay.ReadFrame(far, make([]byte, relay.MaxHello)); err != nil || kind != relay.TypeHello {
						t.Error(kind, err)
					}
					go io.Copy(io.Discard, far)
					far.Write(b)
				}()
				return &relay.Stream{Conn: near}, nil
			},
			Receive: func(_ key.NodePublic, datagram []byte) {
				if len(datagram) == 0 || len(datagram) > relay.MaxDatagram {
					t.Errorf("a datagram of %d bytes", len(datagram))
				}
			},
			OnState: func(s relay.State) {
				if !s.Connected {
					ended <- struct{}{}
					cancel()
				}
			},
		})
		if err := c.SetTicket([]byte("ticket")); err != nil {
			t.Fatal(err)
		}
		c.Run(ctx)
		if len(ended) == 0 {
			t.Fatal("it does not end")
		}
	})
}
