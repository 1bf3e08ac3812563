package server_test

import (
	"context"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/pion/stun/v3"

	"github.com/cordonmesh/cordon/node/relay/server"
)

// Of a machine with several addresses, the one that was asked answers: on a socket
// of both families, of IPv4 alone, and on one address.
func TestSTUNAnswersFromTheAddressThatWasAsked(t *testing.T) {
	for listen, asked := range map[string][]string{
		"[::]:0":      {"127.0.0.1", "127.0.0.2", "127.9.8.7", "::1"},
		"0.0.0.0:0":   {"127.0.0.1", "127.0.0.2"},
		"127.0.0.3:0": {"127.0.0.3"},
	} {
		responder, err := net.ListenPacket("udp", listen)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- server.RespondSTUN(ctx, responder) }()
		for _, at := range asked {
			port := responder.LocalAddr().(*net.UDPAddr).Port
			if got, want := answeredFrom(t, at, port), netip.AddrPortFrom(netip.MustParseAddr(at), uint16(port)); got != want {
				t.Errorf("on %s, %s was asked: %s answered", listen, want, got)
			}
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// answeredFrom asks from one address, with a socket that takes answers of all.
func answeredFrom(t *testing.T, at string, port int) netip.AddrPort {
	t.Helper()
	own := "127.0.0.1:0"
	if netip.MustParseAddr(at).Is6() {
		own = "[::1]:0"
	}
	conn, err := net.ListenPacket("udp", own)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	request := stun.MustBuild(stun.TransactionID, stun.BindingRequest)
	if _, err := conn.WriteTo(request.Raw, &net.UDPAddr{IP: net.ParseIP(at), Port: port}); err != nil {
		t.Fatal(err)
	}
	conn.SetReadDeadline(time.Now().Add(5 * time.Second))
	_, from, err := conn.ReadFrom(make([]byte, 100))
	if err != nil {
		t.Fatalf("%s does not answer: %v", at, err)
	}
	got := from.(*net.UDPAddr).AddrPort()
	return netip.AddrPortFrom(got.Addr().Unmap(), got.Port())
}
