package transport_test

import (
	"bytes"
	"net/netip"
	"testing"
	"testing/synctest"

	"github.com/cordonmesh/cordon/node/internal/path/stun/stuntest"
	"github.com/cordonmesh/cordon/node/internal/transport"
)

// request is a Binding request without attributes.
var request = []byte{0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}

func TestSTUNIsAskedFromTheTunnelsSocketAndNoMatterOfWireGuards(t *testing.T) {
	type heard struct {
		from netip.AddrPort
		data []byte
	}
	var got []heard
	bubbleWith(t, func(c *transport.Config) {
		c.OnSTUN = func(from netip.AddrPort, b []byte) { got = append(got, heard{from, bytes.Clone(b)}) }
	}, func(t *testing.T, p *pair) {
		if err := p.a.AskSTUN(p.bindB.addr, request); err != nil {
			t.Fatal(err)
		}
		p.net.mu.Lock()
		sent := p.net.sent[len(p.net.sent)-1]
		p.net.mu.Unlock()
		if sent.from != p.bindA.addr || sent.to != p.bindB.addr || !bytes.Equal(sent.data, request) {
			t.Errorf("sent %+v", sent)
		}
		answer, ok := stuntest.AppendAnswer(nil, request, p.bindA.addr)
		if !ok {
			t.Fatal("no answer")
		}
		p.bindA.in <- packet{p.bindB.addr, answer}
		synctest.Wait()
		if len(got) != 1 || got[0].from != p.bindB.addr || !bytes.Equal(got[0].data, answer) {
			t.Errorf("handed up: %v", got)
		}
		if n := len(p.received()); n != 0 {
			t.Errorf("WireGuard got %d datagrams", n)
		}
	})
}
