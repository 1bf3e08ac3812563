package transport_test

import (
	"bytes"
	"encoding/binary"
	"net"
	"strconv"
	"testing"
	"time"

	"golang.zx2c4.com/wireguard/conn"

	"github.com/cordonmesh/cordon/coordinator/wire/key"
	"github.com/cordonmesh/cordon/node/internal/transport"
)

// numbered gives datagrams of these sizes, each with its number in front.
func numbered(sizes ...int) (out [][]byte) {
	for i, size := range sizes {
		b := bytes.Repeat([]byte{byte(i + 1)}, size)
		binary.BigEndian.PutUint16(b, uint16(i))
		out = append(out, b)
	}
	return out
}

// many gives so many equal sizes, and then others.
func many(count, size int, more ...int) (out []int) {
	for range count {
		out = append(out, size)
	}
	return append(out, more...)
}

// What comes at once is more than wireguard-go takes at once, and comes whole and
// in its order.
func TestMoreDatagramsThanABatchComeInOrder(t *testing.T) {
	for what, sizes := range map[string][]int{
		"four full reads":              many(240, 100),
		"large ones behind small ones": many(64, 20, 60_000),
		"fewer and fewer":              append(many(64, 1000), many(40, 1200, 700)...),
		"behind few":                   many(3, 20_000, 30_000, 30_000, 9),
	} {
		t.Run(what, func(t *testing.T) {
			for _, host := range []string{"127.0.0.1", "::1"} {
				if got := exchanged(t, host, numbered(sizes...)); got != len(sizes) {
					t.Errorf("%d of %d datagrams came over %s", got, len(sizes), host)
				}
			}
		})
	}
}

// exchanged sends datagrams coalesced, before anybody reads, and counts those that
// then come as they were sent, from where they were sent.
func exchanged(t *testing.T, host string, sent [][]byte) (got int) {
	t.Helper()
	path, node := key.NewPath(), key.NewNode()
	tr, err := transport.New(transport.Config{Self: node.Public(), Path: &path})
	if err != nil {
		t.Fatal(err)
	}
	from, to := conn.NewStdNetBind(), tr.Bind()
	fns, port, err := to.Open(0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { to.Close() })
	_, sender, err := from.Open(0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { from.Close() })
	at := net.JoinHostPort(host, strconv.Itoa(int(port)))
	peer := endpoint(t, from, at)
	for _, part := range [][][]byte{sent[:len(sent)/2], sent[len(sent)/2:]} {
		if err := from.Send(withRoom(part), peer); err != nil {
			t.Fatal(err)
		}
	}
	receive := fns[0]
	if host == "::1" {
		receive = fns[1]
	}
	timer := time.AfterFunc(10*time.Second, func() { to.Close() })
	defer timer.Stop()
	count := to.BatchSize()
	if count > conn.IdealBatchSize/2 {
		t.Errorf("wireguard-go would keep %d buffers for each receive function", count)
	}
	bufs, sizes, eps := make([][]byte, count), make([]int, count), make([]conn.Endpoint, count)
	for i := range bufs {
		bufs[i] = make([]byte, 1<<16-1)
	}
	for got < len(sent) {
		clear(eps)
		n, err := receive(bufs, sizes, eps)
		if err != nil {
			return got
		}
		for i := range n {
			if !bytes.Equal(bufs[i][:sizes[i]], sent[got]) {
				t.Fatalf("datagram %d: %d bytes came, want %d", got, sizes[i], len(sent[got]))
			}
			if want := net.JoinHostPort(host, strconv.Itoa(int(sender))); eps[i].DstToString() != want {
				t.Fatalf("datagram %d came from %s, want %s", got, eps[i].DstToString(), want)
			}
			got++
		}
	}
	return got
}

// withRoom gives copies with room behind them, as wireguard-go's have.
func withRoom(datagrams [][]byte) (out [][]byte) {
	for _, d := range datagrams {
		out = append(out, append(make([]byte, 0, 1<<16), d...))
	}
	return out
}

// Where the kernel coalesces nothing, every place of a batch is read into.
func TestWithoutCoalescingEveryPlaceHoldsAnyDatagram(t *testing.T) {
	sent := numbered(many(conn.IdealBatchSize, 9000)...)
	receive := transport.WithSurplus(func(bufs [][]byte, sizes []int, _ []conn.Endpoint) (int, error) {
		for i := range bufs {
			sizes[i] = copy(bufs[i], sent[i])
		}
		return len(bufs), nil
	}, false)
	bufs, sizes := numbered(many(conn.IdealBatchSize/2, 9000)...), make([]int, conn.IdealBatchSize/2)
	for got := 0; got < len(sent); {
		n, err := receive(bufs, sizes, make([]conn.Endpoint, len(bufs)))
		if err != nil {
			t.Fatal(err)
		}
		for i := range n {
			if !bytes.Equal(bufs[i][:sizes[i]], sent[got]) {
				t.Fatalf("datagram %d: %d bytes came, want %d", got, sizes[i], len(sent[got]))
			}
			got++
		}
	}
}
