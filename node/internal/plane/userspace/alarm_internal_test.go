package userspace

import (
	"bytes"
	"os"
	"testing"
	"time"

	"golang.zx2c4.com/wireguard/tun"

	"github.com/cordonmesh/cordon/acl/filter"
	"github.com/cordonmesh/cordon/node/internal/plane/planetest"
)

// refuse lets peer B send packets that A refuses, all at one moment.
func refuse(t *testing.T, g *guard, n int) {
	t.Helper()
	moment := filter.At(time.Unix(1_800_000_000, 0))
	g.now = func() filter.Moment { return moment }
	for i := range n {
		p := planetest.UDP(planetest.B4, planetest.A4, 5000+uint16(i), 99)
		if kept, err := g.Write([][]byte{append(make([]byte, offset), p...)}, offset); kept != 0 || err != nil {
			t.Fatal(kept, err)
		}
	}
}

// A refusal to a peer leaves with what this machine sends, behind it and not
// judged as that is, and wakes a read that waits.
func TestAnswersToPeersLeaveWithTheNextRead(t *testing.T) {
	dev := &script{packets: outbound(53, 99)}
	g := guarded(t, dev)
	refuse(t, g, 2)
	if n := dev.woken.Load(); n != 2 {
		t.Errorf("woke the reader %d times, want 2", n)
	}
	bufs, sizes := buffers(8)
	n, err := g.Read(bufs, sizes, offset)
	if n != 4 || err != nil || sizes[0] == 0 || sizes[1] != 0 {
		t.Fatalf("read %d packets of sizes %v, %v; want 2 and 2 answers", n, sizes[:n], err)
	}
	for i := range 2 {
		b := bufs[2+i][offset : offset+sizes[2+i]]
		if quoted := planetest.UDP(planetest.B4, planetest.A4, 5000+uint16(i), 99); !bytes.HasSuffix(b, quoted) || b[20] != 3 || b[21] != 13 {
			t.Errorf("place %d holds %x, want a refusal of %x", 2+i, b, quoted)
		}
	}
}

// A read that was only woken is no failure, however often it happens.
func TestWokenReadGivesAnswersAlone(t *testing.T) {
	dev := &script{err: os.ErrDeadlineExceeded}
	g := guarded(t, dev)
	refuse(t, g, 3)
	bufs, sizes := buffers(1)
	for i := range 3 {
		if n, err := g.Read(bufs, sizes, offset); n != 1 || err != nil || sizes[0] == 0 {
			t.Errorf("read %d: %d packets, %v", i, n, err)
		}
	}
	if n := dev.woken.Load(); n != 5 {
		t.Errorf("woke the reader %d times, want 3, and 2 for answers that found no place", n)
	}
	for range 2 * maxBadReads {
		if n, err := g.Read(bufs, sizes, offset); n != 0 || err != nil {
			t.Fatalf("read %d packets, %v", n, err)
		}
	}
}

func TestPeersAreAnsweredWithinLimits(t *testing.T) {
	dev := &script{err: os.ErrDeadlineExceeded}
	g := guarded(t, dev)
	refuse(t, g, 1000)
	bufs, sizes := buffers(64)
	if n, err := g.Read(bufs, sizes, offset); n != 10 || err != nil {
		t.Errorf("%d answers to 1000 refused datagrams of one moment (%v), want 10", n, err)
	}
	if len(g.peers.free) != answersWaiting {
		t.Errorf("%d buffers came back, want %d", len(g.peers.free), answersWaiting)
	}
}

// still is a TUN whose reads nothing can end.
type still struct{ *planetest.TUN }

func (still) SetReadDeadline(time.Time) error { return os.ErrNoDeadline }

// Where nothing wakes the reader no answer is made: it would come at any time.
func TestNoAnswerWaitsForEver(t *testing.T) {
	g := guarded(t, &script{})
	g.alarm = deadlineOf(still{planetest.NewTUN(1)})
	if g.alarm != nil {
		t.Fatal("a TUN without deadlines is taken to have them")
	}
	refuse(t, g, 1)
	if len(g.peers.ready) != 0 {
		t.Error("an answer waits")
	}
}

// A file of the system has deadlines, as the TUN of Linux and Darwin is one.
func TestFilesHaveDeadlines(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	g := guarded(t, &script{})
	g.alarm = deadlineOf(file{g.Device, r})
	for range 2 {
		g.wake()
		if _, err := r.Read(make([]byte, 1)); !g.woken(err) {
			t.Errorf("read %v, want a deadline", err)
		}
	}
	if _, err := w.Write([]byte{1}); err != nil {
		t.Fatal(err)
	}
	if n, err := r.Read(make([]byte, 1)); n != 1 || err != nil {
		t.Errorf("read %d, %v after the alarm", n, err)
	}
}

// file is a TUN that has a file, and no deadlines of its own.
type file struct {
	tun.Device
	f *os.File
}

func (f file) File() *os.File { return f.f }
