package transport_test

import (
	"encoding/binary"
	"errors"
	"net"
	"sync"
	"testing"
	"testing/synctest"

	"golang.zx2c4.com/wireguard/conn"

	"github.com/cordonmesh/cordon/coordinator/wire/key"
	"github.com/cordonmesh/cordon/node/internal/transport"
	"github.com/cordonmesh/cordon/node/relay"
)

func ignore([]byte, conn.Endpoint) {}

// mailer is a node with a receive function for what relays bring, and a peer.
type mailer struct {
	*node
	peer    key.NodePublic
	receive conn.ReceiveFunc
	bufs    [][]byte
	sizes   []int
	eps     []conn.Endpoint
}

func newMailer(t testing.TB, batch int) *mailer {
	t.Helper()
	b := newNode(t, "b", transport.Config{})
	m := &mailer{peer: b.identity.Public(), sizes: make([]int, batch), eps: make([]conn.Endpoint, batch)}
	m.node = newRelays().node(t, "a", transport.Config{Bind: newNetwork().bind("198.51.100.1:1")})
	m.SetPeers([]transport.Peer{b.peer()})
	for range batch {
		m.bufs = append(m.bufs, make([]byte, 1<<16-1))
	}
	m.open(t)
	return m
}

func (m *mailer) open(t testing.TB) {
	t.Helper()
	fns, _, err := m.Bind().Open(0)
	if err != nil {
		t.Fatal(err)
	}
	m.receive = fns[len(fns)-1]
}

// push has the relay bring a datagram that holds a number.
func (m *mailer) push(number, size int) {
	b := make([]byte, size)
	b[0] = 4
	binary.BigEndian.PutUint32(b[4:], uint32(number))
	m.FromRelay("r1", m.peer, b)
}

// take gives the numbers of the next batch.
func (m *mailer) take(t testing.TB) (numbers []int) {
	t.Helper()
	n, err := m.receive(m.bufs, m.sizes, m.eps)
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		numbers = append(numbers, int(binary.BigEndian.Uint32(m.bufs[i][4:])))
	}
	return numbers
}

func TestFullQueueLeavesTheOldestBehind(t *testing.T) {
	for _, tt := range []struct{ size, pushed, kept int }{
		{100, 1000, 256},
		{1500, 255, 255},
		{60000, 100, 8}, // half a megabyte
	} {
		m := newMailer(t, 300)
		for round := range 3 { // with buffers that were used
			for i := range tt.pushed {
				m.push(i, tt.size)
			}
			got := m.take(t)
			if len(got) != tt.kept {
				t.Fatalf("%+v, round %d: %d wait", tt, round, len(got))
			}
			for i, number := range got {
				if number != tt.pushed-tt.kept+i || m.sizes[i] != tt.size {
					t.Fatalf("%+v: datagram %d of %d bytes at place %d", tt, number, m.sizes[i], i)
				}
			}
		}
		m.Bind().Close()
	}
}

func TestBatchesAndWhatDoesNotFit(t *testing.T) {
	m := newMailer(t, 4)
	defer m.Bind().Close()
	for i := range 6 {
		m.push(i, 100)
	}
	m.push(6, relay.MaxDatagram) // a byte more than a buffer of wireguard-go
	m.push(7, relay.MaxDatagram+1)
	m.push(8, 100)
	if first, second := m.take(t), m.take(t); len(first) != 4 || len(second) != 3 || second[2] != 8 {
		t.Errorf("batches %v and %v", first, second)
	}
}

func TestQueueClosesAndOpensWithTheBind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMailer(t, 4)
		old, ended := m.receive, make(chan error)
		go func() { _, err := old(m.bufs, m.sizes, m.eps); ended <- err }()
		synctest.Wait()
		for range 2 {
			if err := m.Bind().Close(); err != nil {
				t.Fatal(err)
			}
		}
		if err := <-ended; !errors.Is(err, net.ErrClosed) {
			t.Errorf("waiting: %v", err)
		}
		m.push(1, 100)
		m.open(t)
		m.push(2, 100)
		if _, err := old(m.bufs, m.sizes, m.eps); !errors.Is(err, net.ErrClosed) {
			t.Errorf("function of before: %v", err)
		}
		if got := m.take(t); len(got) != 1 || got[0] != 2 {
			t.Errorf("got %v, want what came since the bind opened again", got)
		}
		m.push(3, 100)
		m.Bind().Close()
		if _, err := m.receive(m.bufs, m.sizes, m.eps); !errors.Is(err, net.ErrClosed) {
			t.Errorf("what waited when the bind was closed: %v", err)
		}
		m.open(t)
		m.push(4, 100)
		if got := m.take(t); len(got) != 1 || got[0] != 4 {
			t.Errorf("got %v, want what came since the bind opened again", got)
		}

		old = m.receive
		go func() { _, err := old(m.bufs, m.sizes, m.eps); ended <- err }()
		synctest.Wait()
		m.Bind().Close()
		m.open(t) // before the function has noticed
		if err := <-ended; !errors.Is(err, net.ErrClosed) {
			t.Errorf("function of before, that waited: %v", err)
		}
		m.Bind().Close()
	})
}

func TestQueueIsSharedByManyRelays(t *testing.T) {
	m := newMailer(t, 16)
	var senders, readers sync.WaitGroup
	for range 4 {
		senders.Go(func() {
			for i := range 5000 {
				m.push(i, 100+i%3000)
			}
		})
	}
	read := func(receive conn.ReceiveFunc) {
		bufs, sizes, eps := batch(16)
		for {
			if _, err := receive(bufs, sizes, eps); err != nil {
				return
			}
		}
	}
	for range 20 {
		fn := m.receive
		readers.Go(func() { read(fn) })
		m.Bind().Close()
		m.open(t)
	}
	fn := m.receive
	readers.Go(func() { read(fn) })
	senders.Wait()
	m.Bind().Close()
	readers.Wait()
}

func TestReceivingOverARelayAllocatesNothing(t *testing.T) {
	m := newMailer(t, 128)
	defer m.Bind().Close()
	b := make([]byte, 1452)
	b[0] = 4
	round := func() {
		for range 128 {
			m.FromRelay("r1", m.peer, b)
		}
		if n, err := m.receive(m.bufs, m.sizes, m.eps); n != 128 || err != nil {
			t.Fatal(n, err)
		}
	}
	if n := testing.AllocsPerRun(200, round); n != 0 {
		t.Errorf("%v allocations for a batch of 128", n)
	}
}

func TestSendingOverARelayAllocatesNothing(t *testing.T) {
	apart(t, func(t *testing.T, p *pair) {
		p.send(t, initiation(1))
		synctest.Wait()
		if p.a.Paths()["b"].Relay == "" {
			t.Fatal("no path")
		}
		p.relays.setQuiet(true)
		bufs, _, _ := batch(8)
		bind := p.a.Bind()
		if n := testing.AllocsPerRun(1000, func() { bind.Send(bufs, p.toB) }); n != 0 {
			t.Errorf("%v allocations for a batch of 8", n)
		}
		p.relays.setDown("r1", true)
		if n := testing.AllocsPerRun(1000, func() { bind.Send(bufs, p.toB) }); n != 0 {
			t.Errorf("%v allocations for a batch of 8 that is refused", n)
		}
	})
}

func BenchmarkReceivingOverARelay(b *testing.B) {
	m := newMailer(b, 128)
	defer m.Bind().Close()
	data := make([]byte, 1452)
	data[0] = 4
	b.SetBytes(64 * 1452)
	b.ReportAllocs()
	for b.Loop() {
		for range 64 {
			m.FromRelay("r1", m.peer, data)
		}
		m.receive(m.bufs, m.sizes, m.eps)
	}
}
