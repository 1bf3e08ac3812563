package relay_test

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cordonmesh/cordon/coordinator/wire/key"
	"github.com/cordonmesh/cordon/node/relay"
	"github.com/cordonmesh/cordon/node/relay/relaytest"
	"github.com/cordonmesh/cordon/node/relay/server"
)

// wires are the connections of one node, which a test cuts with or without a word.
type wires struct {
	open func(context.Context) (*relay.Stream, error)

	mu    sync.Mutex
	last  *hole
	count int
	down  bool
}

func (w *wires) Open(ctx context.Context) (*relay.Stream, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.count++
	if w.down {
		return nil, errors.New("no way there")
	}
	s, err := w.open(ctx)
	if err != nil {
		return nil, err
	}
	w.last = &hole{Conn: s.Conn}
	s.Conn = w.last
	return s, nil
}

func (w *wires) set(down bool) *hole {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.down = down
	return w.last
}

func (w *wires) tries() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.count
}

// hole is a connection that can begin to swallow what is written.
type hole struct {
	net.Conn
	mu   sync.Mutex
	deaf bool
}

func (h *hole) Write(b []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.deaf {
		return len(b), nil
	}
	return h.Conn.Write(b)
}

func (h *hole) swallow() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.deaf = true
}

func cuttable(t *testing.T) (m *relaytest.Mesh, w *wires, a, b *relaytest.Node) {
	m = relaytest.NewMesh()
	s := relaytest.New(t, server.Config{}, m)
	w = &wires{open: relaytest.Pipe(s)}
	a, b = m.Connect(t, w.Open), m.Connect(t, relaytest.Pipe(s))
	a.Up(t)
	b.Up(t)
	return m, w, a, b
}

// F33: a relay that is gone with a word is tried again at once, one that went
// without a word is noticed within seconds by who sends, and within half a minute
// by who does not.
func TestClientComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, w, a, b := cuttable(t)
		time.Sleep(time.Minute)
		began := time.Now()
		w.set(false).Close()
		a.Up(t)
		if took := time.Since(began); took > 300*time.Millisecond {
			t.Error("cut, and back after", took)
		}
		time.Sleep(time.Minute)
		began = time.Now()
		w.set(false).swallow()
		for time.Since(began) < 5500*time.Millisecond {
			a.Send(b.Public(), []byte("anybody there?"))
			time.Sleep(100 * time.Millisecond)
		}
		if len(a.States) != 2 {
			t.Fatalf("busy on a dead link for %s: %d changes", time.Since(began), len(a.States))
		}
		a.Down(t)
		a.Up(t)
		time.Sleep(time.Minute)
		w.set(false).swallow()
		time.Sleep(31 * time.Second)
		if len(a.States) != 2 {
			t.Fatal("idle on a dead link:", len(a.States), "changes")
		}
	})
}

func TestClientWaitsLongerAndWakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, w, a, b := cuttable(t)
		time.Sleep(time.Minute)
		w.set(true).Close()
		a.Down(t)
		if a.Send(b.Public(), []byte("x")) {
			t.Fatal("sent on no connection")
		}
		before := w.tries()
		time.Sleep(10 * time.Minute)
		if n := w.tries() - before; n < 20 || n > 60 {
			t.Fatal(n, "tries in 10 minutes")
		}
		w.set(false)
		a.Redial()
		synctest.Wait()
		began := time.Now()
		a.Up(t)
		if took := time.Since(began); took != 0 {
			t.Fatal("woken, and up after", took)
		}
		before = w.tries()
		a.Redial()
		a.Up(t)
		if w.tries() != before+1 {
			t.Fatal("redialled", w.tries()-before)
		}
	})
}

// lingering is a connection whose end takes as long as the test likes.
type lingering struct {
	net.Conn
	closing chan struct{}
	release chan struct{}
	once    *sync.Once
}

func (l lingering) Close() error {
	l.once.Do(func() { close(l.closing) })
	<-l.release
	return l.Conn.Close()
}

// To end TLS is to write, which a dead network may hold up: whoever sends meanwhile
// must not wait for that.
func TestRedialHoldsUpNoSender(t *testing.T) {
	m := relaytest.NewMesh()
	s := relaytest.New(t, server.Config{}, m)
	closing, release, once := make(chan struct{}), make(chan struct{}), new(sync.Once)
	a := m.Connect(t, func(ctx context.Context) (*relay.Stream, error) {
		stream, err := relaytest.Pipe(s)(ctx)
		if err == nil {
			stream.Conn = lingering{stream.Conn, closing, release, once}
		}
		return stream, err
	})
	a.Up(t)
	redialled := make(chan struct{})
	go func() { a.Redial(); close(redialled) }()
	<-closing
	sent := make(chan struct{})
	go func() { a.Send(a.Public(), []byte("x")); close(sent) }()
	select {
	case <-sent:
	case <-time.After(10 * time.Second):
		t.Error("a datagram waits until the old connection has closed")
	}
	close(release)
	<-redialled
	<-sent
}

func TestClientWithoutATicketWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, tries := key.NewNode(), 0
		c := relay.NewClient(relay.ClientConfig{Node: &k, Receive: func(key.NodePublic, []byte) {},
			Open: func(context.Context) (*relay.Stream, error) { tries++; return nil, io.EOF }})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- c.Run(ctx) }()
		time.Sleep(time.Hour)
		if tries != 0 {
			t.Fatal("tried without a ticket")
		}
		if c.SetTicket(nil) == nil || c.SetTicket(make([]byte, 5000)) == nil {
			t.Fatal("took what is no ticket")
		}
		if err := c.SetTicket([]byte("x")); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if tries != 1 {
			t.Fatal(tries)
		}
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	})
}

// A37: whatever a hostile relay says, the client does not fall over, gives on
// nothing that is no datagram, and tries again in measure.
func TestHostileRelay_A37(t *testing.T) {
	welcome := relay.AppendWelcome(relay.NewChallenge().Append(nil), 0)
	node := key.NewNode()
	peer := node.Public().Bytes()
	for name, says := range map[string][]byte{
		"nothing":           {},
		"HTTP":              []byte("HTTP/1.1 200 OK\r\n\r\n"),
		"a long challenge":  relay.Append(nil, relay.TypeChallenge, make([]byte, 2000)),
		"a short challenge": relay.Append(nil, relay.TypeChallenge, make([]byte, 5)),
		"no welcome":        relay.Append(relay.NewChallenge().Append(nil), relay.TypeRecv, peer, []byte("x")),
		"empty refusal":     relay.Append(relay.NewChallenge().Append(nil), relay.TypeRefused),
		"empty datagram":    relay.Append(append([]byte(nil), welcome...), relay.TypeRecv, peer),
		"from nobody":       relay.Append(append([]byte(nil), welcome...), relay.TypeRecv, make([]byte, 33)),
		"longest header":    append(append([]byte(nil), welcome...), 0x11, 0xff, 0xff, 0xff),
		"empty notice":      relay.Append(append([]byte(nil), welcome...), relay.TypeNotice),
		"short pong":        relay.Append(append([]byte(nil), welcome...), relay.TypePong, []byte{1}),
		"short gone":        relay.Append(append([]byte(nil), welcome...), relay.TypePeerGone, peer),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var tries atomic.Int64
				n := relaytest.NewMesh().Connect(t, func(context.Context) (*relay.Stream, error) {
					tries.Add(1)
					near, far := net.Pipe()
					go func() {
						go io.Copy(io.Discard, far)
						far.Write(says)
						time.Sleep(time.Second)
						far.Close()
					}()
					return &relay.Stream{Conn: near}, nil
				})
				time.Sleep(5 * time.Minute)
				if tried := tries.Load(); len(n.In)+len(n.Gone) != 0 || tried < 5 || tried > 40 {
					t.Fatal(len(n.In), "received,", tried, "tries")
				}
				n.Stop()
				time.Sleep(time.Minute) // for what the hostile one still does
			})
		})
	}
}

// A link that is slow loses what waited longest, and Send does not wait for it.
func TestSendNeverBlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stop := make(chan struct{})
		n := relaytest.NewMesh().Connect(t, func(context.Context) (*relay.Stream, error) {
			near, far := net.Pipe()
			go func() {
				far.Write(relay.NewChallenge().Append(nil))
				relay.ReadFrame(far, make([]byte, relay.MaxBody))
				far.Write(relay.AppendWelcome(nil, 0))
				<-stop // reads nothing
				far.Close()
			}()
			return &relay.Stream{Conn: near}, nil
		})
		n.Up(t)
		to, began := key.NewNode(), time.Now()
		for range 10_000 {
			if !n.Send(to.Public(), make([]byte, 1200)) {
				t.Fatal("not taken")
			}
		}
		if took := time.Since(began); took != 0 {
			t.Fatal("Send waited", took)
		}
		close(stop)
		n.Stop()
	})
}
