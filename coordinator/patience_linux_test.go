package coordinator_test

import (
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cordonmesh/cordon/coordinator"
)

// The kernel gives up who is gone, for nobody else looks more often than every few minutes.
func TestAcceptedConnectionsAreGivenUp(t *testing.T) {
	l, err := coordinator.Patient().Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	server, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	raw, err := server.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var given int
	var asked error
	if err := raw.Control(func(fd uintptr) {
		given, asked = unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT)
	}); err != nil || asked != nil {
		t.Fatal(err, asked)
	}
	if time.Duration(given)*time.Millisecond != time.Minute {
		t.Errorf("a connection is given up after %d ms without an acknowledgement, want a minute", given)
	}
}
