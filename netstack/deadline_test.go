package netstack_test

import (
	"errors"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/netstack"
)

// Whoever reads the device can be called away from a stack that says nothing, and
// reads on afterwards.
func TestReadDeadlineCallsTheReaderAway(t *testing.T) {
	s := newStack(t, netstack.Config{Addresses: []netip.Addr{a4}})
	dev := s.Device()
	d, ok := dev.(interface{ SetReadDeadline(time.Time) error })
	if !ok {
		t.Fatal("the device has no deadlines")
	}
	read := func() error {
		_, err := dev.Read([][]byte{make([]byte, offset+2000)}, make([]int, 1), offset)
		return err
	}
	for range 2 {
		ended := make(chan error)
		go func() { ended <- read() }()
		if err := d.SetReadDeadline(time.Unix(1, 0)); err != nil {
			t.Fatal(err)
		}
		if err := <-ended; !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("a waiting read gave %v", err)
		}
		if err := read(); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("the read after it gave %v", err)
		}
		if err := d.SetReadDeadline(time.Time{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.SetReadDeadline(time.Now().Add(time.Hour)); !errors.Is(err, os.ErrNoDeadline) {
		t.Errorf("a deadline to come gave %v", err)
	}
	conn, err := s.DialContext(t.Context(), "udp", netip.AddrPortFrom(b4, 53).String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if err := read(); err != nil {
		t.Errorf("a read of a packet gave %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := read(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("a read of a closed device gave %v", err)
	}
}
