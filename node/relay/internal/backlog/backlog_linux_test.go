package backlog_test

import (
	"net"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/node/relay/internal/backlog"
)

// taken gives how much the kernel takes for a reader that does not read.
func taken(t *testing.T, bound bool) (bytes int) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	near, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer near.Close()
	far, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	far.(*net.TCPConn).SetReadBuffer(64 << 10)
	if bound {
		backlog.Bound(near)
	}
	near.SetWriteDeadline(time.Now().Add(300 * time.Millisecond))
	for chunk := make([]byte, 16<<10); ; {
		n, err := near.Write(chunk)
		if bytes += n; err != nil {
			return bytes
		}
	}
}

func TestKernelHoldsLessForASlowReader(t *testing.T) {
	free, bound := taken(t, false), taken(t, true)
	if bound >= free || bound > 1<<20 {
		t.Fatalf("%d bytes taken when bound, %d when not", bound, free)
	}
	t.Logf("%d bytes taken when bound, %d when not", bound, free)
}
