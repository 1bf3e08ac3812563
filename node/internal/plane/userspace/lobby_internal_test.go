package userspace

import (
	"fmt"
	"testing"
)

// What is read while others wait for the same peer goes behind them, also when
// the peer has just come; what does not fit into the batch goes with the next.
func TestNoPacketOvertakesThoseThatWait(t *testing.T) {
	dev := &script{packets: outbound(53, 54)}
	g := guarded(t, dev)
	b := g.roster.Load().byID["n-b"]
	b.in.Store(false)
	bufs, sizes := buffers(3)
	read := func(packets [][]byte) (got [][]byte) {
		t.Helper()
		dev.packets = packets
		n, err := g.Read(bufs, sizes, offset)
		if err != nil {
			t.Fatal(err)
		}
		for i := range n {
			if sizes[i] > 0 {
				got = append(got, append([]byte(nil), bufs[i][offset:offset+sizes[i]]...))
			}
		}
		return got
	}
	first, then := outbound(53, 54), outbound(55, 56)
	if got := read(first); len(got) != 0 {
		t.Errorf("%d packets went to a peer that is not there", len(got))
	}
	g.lobby.arrive(b)
	got := append(read(then), read(nil)...)
	if want := append(first, then...); fmt.Sprintf("%x", got) != fmt.Sprintf("%x", want) {
		t.Errorf("there went\n%x, want\n%x", got, want)
	}
	dev.woken.Store(0)
	if got := read(outbound(57)); len(got) != 1 || g.lobby.ready.Load() != 0 {
		t.Errorf("%d packets went straight to a peer that is there", len(got))
	}

	b.in.Store(false)
	read(outbound(53, 54, 55))
	read(outbound(56, 57))
	g.lobby.arrive(b)
	if got := read(nil); fmt.Sprintf("%x", got) != fmt.Sprintf("%x", outbound(53, 54, 55)) || dev.woken.Load() != 1 {
		t.Errorf("%d packets fit, and Read was woken %d times for the rest; want 3, once", len(got), dev.woken.Load())
	}
	if got := read(outbound(58)); len(got) != 2 {
		t.Errorf("%d packets went with the next batch, beside one that takes a place; want 2", len(got))
	}
}
