package server_test

import (
	"bytes"
	"context"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/pion/stun/v3"

	"github.com/cordonmesh/cordon/node/relay/server"
)

// asker is a UDP socket beside a responder.
type asker struct {
	net.PacketConn
	to net.Addr
}

func newAsker(t testing.TB) *asker {
	t.Helper()
	responder, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.RespondSTUN(ctx, responder) }()
	own, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		own.Close()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return &asker{own, responder.LocalAddr()}
}

// ask sends b and gives the answer, nil if none came before a good request's.
func (a *asker) ask(t testing.TB, b []byte) []byte {
	t.Helper()
	last := stun.MustBuild(stun.TransactionID, stun.BindingRequest)
	for _, p := range [][]byte{b, last.Raw} {
		if _, err := a.WriteTo(p, a.to); err != nil {
			t.Fatal(err)
		}
	}
	first := a.read(t)
	if bytes.Equal(first[8:20], last.TransactionID[:]) {
		return nil
	}
	a.read(t)
	return first
}

func (a *asker) read(t testing.TB) []byte {
	t.Helper()
	a.SetReadDeadline(time.Now().Add(5 * time.Second))
	buf := make([]byte, 1500)
	n, _, err := a.ReadFrom(buf)
	if err != nil {
		t.Fatal(err)
	}
	return buf[:n]
}

func TestSTUNAnswersWhereARequestCameFrom(t *testing.T) {
	a := newAsker(t)
	request := stun.MustBuild(stun.TransactionID, stun.BindingRequest)
	got := a.ask(t, request.Raw)
	if len(got) != 32 {
		t.Fatalf("an answer of %d bytes", len(got))
	}
	m := &stun.Message{Raw: got}
	var seen stun.XORMappedAddress
	if err := m.Decode(); err != nil || m.Type != stun.BindingSuccess || m.TransactionID != request.TransactionID || seen.GetFrom(m) != nil {
		t.Fatal(m, err)
	}
	at, _ := netip.AddrFromSlice(seen.IP)
	if own := a.LocalAddr().(*net.UDPAddr).AddrPort(); netip.AddrPortFrom(at.Unmap(), uint16(seen.Port)) != own {
		t.Fatal(seen, own)
	}
	optional := stun.MustBuild(stun.TransactionID, stun.BindingRequest, stun.NewSoftware("x"), stun.Fingerprint)
	if a.ask(t, optional.Raw) == nil {
		t.Fatal("an attribute that may be ignored stopped it")
	}
}

// A35, A38: it is no reflector of what is no plain request.
func TestSTUNIsSilentToTheRest_A35_A38(t *testing.T) {
	a := newAsker(t)
	good := stun.MustBuild(stun.TransactionID, stun.BindingRequest)
	long := append(bytes.Clone(good.Raw), make([]byte, 700)...)
	long[2], long[3] = 700>>8, 700&255
	for name, b := range map[string][]byte{
		"empty":            {},
		"garbage":          []byte("\x00\x01 not at all"),
		"a response":       stun.MustBuild(stun.TransactionID, stun.BindingSuccess).Raw,
		"an indication":    stun.MustBuild(stun.TransactionID, stun.NewType(stun.MethodBinding, stun.ClassIndication)).Raw,
		"TURN's Allocate":  stun.MustBuild(stun.TransactionID, stun.NewType(stun.MethodAllocate, stun.ClassRequest)).Raw,
		"CHANGE-REQUEST":   stun.MustBuild(stun.TransactionID, stun.BindingRequest, stun.RawAttribute{Type: 0x0003, Value: []byte{0, 0, 0, 6}}).Raw,
		"RESPONSE-PORT":    stun.MustBuild(stun.TransactionID, stun.BindingRequest, stun.RawAttribute{Type: 0x0027, Value: []byte{0, 53, 0, 0}}).Raw,
		"no cookie":        append(append(bytes.Clone(good.Raw[:4]), 0, 0, 0, 0), good.Raw[8:]...),
		"cut off":          good.Raw[:19],
		"longer than said": append(bytes.Clone(good.Raw), 1, 2, 3, 4),
		"too long":         long,
	} {
		if got := a.ask(t, b); got != nil {
			t.Errorf("%s: answered with %x", name, got)
		}
	}
}

func TestSTUNIsRateLimited_A35(t *testing.T) {
	a := newAsker(t)
	request := stun.MustBuild(stun.TransactionID, stun.BindingRequest)
	began := time.Now()
	go func() {
		for range 2000 {
			a.WriteTo(request.Raw, a.to)
		}
	}()
	answers := 0
	for buf := make([]byte, 1500); ; answers++ {
		a.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
		if _, _, err := a.ReadFrom(buf); err != nil {
			break
		}
	}
	if most := 60 + int(200*time.Since(began).Seconds()); answers > most || answers < 20 {
		t.Fatalf("%d of 2,000 answered, at most %d", answers, most)
	}
}

func FuzzSTUN(f *testing.F) {
	f.Add(stun.MustBuild(stun.TransactionID, stun.BindingRequest).Raw)
	f.Add(stun.MustBuild(stun.TransactionID, stun.BindingRequest, stun.NewSoftware("x"), stun.Fingerprint).Raw)
	f.Fuzz(func(t *testing.T, b []byte) {
		answer := server.AnswerSTUN(b, netip.MustParseAddrPort("192.0.2.1:5"))
		if len(answer) > len(b)+24 {
			t.Fatalf("%d bytes answer %d", len(answer), len(b))
		}
	})
}
