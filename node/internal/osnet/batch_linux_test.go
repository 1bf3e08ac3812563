package osnet_test

import (
	"bytes"
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cordonmesh/cordon/node/internal/osnet"
)

// The kernel hands over no more segments than one Read can give: a program that
// sends many small ones at once loses none, though the engine has few buffers.
func TestNoMoreSegmentsThanOneReadGives(t *testing.T) {
	if !rooted(t) {
		return
	}
	namespace(t)
	n := newNetwork(t, osnet.Config{})
	dev := open(t, n)
	must(t, n.Apply(mesh()))
	if dev.BatchSize() > 64 {
		t.Errorf("an engine would keep %d buffers", dev.BatchSize())
	}
	c, err := net.Dial("udp", netip.AddrPortFrom(peer4, 104).String())
	must(t, err)
	defer c.Close()
	raw, err := c.(*net.UDPConn).SyscallConn()
	must(t, err)
	const segments = 120
	var failed error
	must(t, raw.Control(func(fd uintptr) { failed = unix.SetsockoptInt(int(fd), unix.IPPROTO_UDP, unix.UDP_SEGMENT, 2) }))
	must(t, failed)
	sent := make([]byte, 2*segments)
	for i := range segments {
		sent[2*i], sent[2*i+1] = 's', byte(i)
	}
	if _, err := c.Write(sent); errors.Is(err, unix.EINVAL) {
		sent = sent[:2*64] // kernels before 6.9 make no more of one datagram
		_, err = c.Write(sent)
		must(t, err)
	} else {
		must(t, err)
	}
	timer := time.AfterFunc(patience, func() { dev.Close() })
	defer timer.Stop()
	bufs, sizes := make([][]byte, dev.BatchSize()), make([]int, dev.BatchSize())
	for i := range bufs {
		bufs[i] = make([]byte, 2048)
	}
	var got []byte
	for len(got) < len(sent) {
		count, err := dev.Read(bufs, sizes, 16)
		must(t, err)
		for i, size := range sizes[:count] {
			if p := bufs[i][16 : 16+size]; p[0]>>4 == 4 && netip.AddrFrom4([4]byte(p[16:20])) == peer4 {
				got = append(got, p[28:]...)
			}
		}
	}
	if !bytes.Equal(got, sent) {
		t.Errorf("came %x, want %x", got, sent)
	}
}
