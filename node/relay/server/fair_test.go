package server_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/coordinator/wire/key"
	"github.com/cordonmesh/cordon/node/relay"
	"github.com/cordonmesh/cordon/node/relay/relaytest"
	"github.com/cordonmesh/cordon/node/relay/server"
)

// raw is a client that a test plays frame by frame: it reads only when told.
type raw struct {
	net.Conn
	key key.NodePrivate
	buf []byte
}

func dialRaw(t testing.TB, s *server.Server, m *relaytest.Mesh) *raw {
	return dialRawWith(t, s, func(k key.NodePublic) []byte { return m.Ticket(k, time.Hour) })
}

func dialRawWith(t testing.TB, s *server.Server, ticket func(key.NodePublic) []byte) *raw {
	t.Helper()
	stream, _ := relaytest.Pipe(s)(t.Context())
	r := &raw{stream.Conn, key.NewNode(), make([]byte, relay.MaxBody)}
	t.Cleanup(func() { r.Close() })
	c, err := relay.ParseChallenge(r.next(t, relay.TypeChallenge))
	if err != nil {
		t.Fatal(err)
	}
	r.Write(relay.NewHello(&r.key, c, stream.Binding, relay.NewInstance(), ticket(r.key.Public())).Append(nil))
	r.next(t, relay.TypeWelcome)
	return r
}

func (r *raw) next(t testing.TB, want relay.Type) []byte {
	t.Helper()
	got, body, err := relay.ReadFrame(r, r.buf)
	if err != nil || got != want {
		t.Fatalf("type %#x, %v; want %#x", got, err, want)
	}
	return body
}

func (r *raw) send(to key.NodePublic, datagram []byte) error {
	_, err := r.Write(relay.Append(nil, relay.TypeSend, to.Bytes(), datagram))
	return err
}

func number(i, size int) []byte {
	b := make([]byte, size)
	binary.BigEndian.PutUint64(b, uint64(i))
	return b
}

// A slow reader loses its oldest, and the one next to it nothing and no time.
func TestSlowReaderLosesItsOldestAndDelaysNobody_A35(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := relaytest.NewMesh()
		s := relaytest.New(t, server.Config{QueueFrames: 100}, m)
		sender, slow, quick := dialRaw(t, s, m), dialRaw(t, s, m), m.Connect(t, relaytest.Pipe(s))
		quick.Up(t)
		const all = 1000
		began := time.Now()
		for i := range all {
			if err := sender.send(slow.key.Public(), number(i, 1000)); err != nil {
				t.Fatal(err)
			}
			if err := sender.send(quick.Public(), number(i, 1000)); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if got := <-quick.In; got.Text != string(number(i, 1000)) {
				t.Fatal("the quick one missed", i)
			}
		}
		if took := time.Since(began); took > 0 {
			t.Fatal("the quick one waited", took)
		}
		var got []int
		go func() { time.Sleep(time.Second); slow.Close() }()
		for {
			kind, body, err := relay.ReadFrame(slow, slow.buf)
			if err != nil {
				break
			}
			if _, datagram, err := relay.ParseDatagram(body); err == nil && kind == relay.TypeRecv {
				got = append(got, int(binary.BigEndian.Uint64(datagram)))
			}
		}
		if n := len(got); n > 140 || n < 100 || got[n-1] != all-1 || got[n-100] != all-100 {
			t.Fatalf("the slow one got %d, from %v to %v", n, got[0], got[n-1])
		}
		if dropped := s.Stats().Dropped; dropped != uint64(all-len(got)) {
			t.Fatalf("%d dropped, and %d of %d arrived", dropped, len(got), all)
		}
	})
}

// A35: of a flood and a trickle to one receiver, the trickle arrives.
func TestFloodLeavesOthersTheirShare_A35(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := relaytest.NewMesh()
		s := relaytest.New(t, server.Config{QueueFrames: 64}, m)
		flood, trickle, to := dialRaw(t, s, m), dialRaw(t, s, m), dialRaw(t, s, m)
		for i := range 2000 {
			if err := flood.send(to.key.Public(), number(i, 1200)); err != nil {
				t.Fatal(err)
			}
			if i%100 == 0 {
				if err := trickle.send(to.key.Public(), number(i, 1200)); err != nil {
					t.Fatal(err)
				}
			}
		}
		synctest.Wait()
		count := map[key.NodePublic]int{}
		go func() { time.Sleep(time.Second); to.Close() }()
		for {
			_, body, err := relay.ReadFrame(to, to.buf)
			if err != nil {
				break
			}
			if from, _, err := relay.ParseDatagram(body); err == nil {
				count[from]++
			}
		}
		if got := count[trickle.key.Public()]; got != 20 {
			t.Fatalf("%d of 20 arrived beside the flood (%v)", got, count)
		}
	})
}

// A35: who sends more than it may waits, by its ticket's limit if that is lower.
func TestSenderIsHeldToItsRate_A35(t *testing.T) {
	for name, rate := range map[string]uint64{"the relay's": 0, "the ticket's": 1 << 20} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := relaytest.NewMesh()
				s := relaytest.New(t, server.Config{Rate: 4 << 20}, m)
				from := dialRawWith(t, s, func(k key.NodePublic) []byte {
					return m.TicketOf(wire.RelayPermit{Node: k, NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour), Rate: rate})
				})
				to, other := m.Connect(t, relaytest.Pipe(s)), m.Connect(t, relaytest.Pipe(s))
				to.Up(t)
				other.Up(t)
				began := time.Now()
				const frames, size = 900, 16 << 10 // with one more, no more than a node keeps that nobody reads
				for i := range frames {
					if err := from.send(to.Public(), number(i, size)); err != nil {
						t.Fatal(err)
					}
				}
				want := rate
				if want == 0 {
					want = 4 << 20
				}
				got := float64(frames*size) / time.Since(began).Seconds()
				if ratio := got / float64(want); ratio < 0.9 || ratio > 1.1 {
					t.Fatalf("%.0f bytes a second, want %d", got, want)
				}
				at := time.Now()
				other.Send(to.Public(), []byte("not held up"))
				for got := range to.In {
					if got.Text == "not held up" {
						break
					}
				}
				if took := time.Since(at); took > 0 {
					t.Fatal("another sender waited", took)
				}
			})
		})
	}
}

func TestFrameRateIsHeld_A35(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := relaytest.NewMesh()
		s := relaytest.New(t, server.Config{FrameRate: 1000}, m)
		from := dialRaw(t, s, m)
		to := key.NewNode()
		go io.Copy(io.Discard, from)
		began := time.Now()
		for i := range 5000 {
			if err := from.send(to.Public(), number(i, 8)); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(began); took < 4*time.Second || took > 6*time.Second {
			t.Fatal("5,000 frames took", took)
		}
	})
}

// A39: two machines with one key: the newer receives, neither is thrown out, and
// nobody's reconnecting fills a log.
func TestTwinsDoNotFight_A39(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := relaytest.NewMesh()
		s := relaytest.New(t, server.Config{}, m)
		k := key.NewNode()
		old := m.ConnectAs(t, k, relay.NewInstance(), relaytest.Pipe(s))
		old.Up(t)
		twin := m.ConnectAs(t, k, relay.NewInstance(), relaytest.Pipe(s))
		twin.Up(t)
		old.Await(t, func(s relay.State) bool { return s.Duplicate })
		other := m.Connect(t, relaytest.Pipe(s))
		other.Up(t)
		time.Sleep(10 * time.Minute)
		if len(old.States)+len(twin.States) != 0 {
			t.Fatal("they threw each other out")
		}
		other.Send(twin.Public(), []byte("one"))
		twin.Expect(t, other, "one")
		old.Send(other.Public(), []byte("still here"))
		other.Expect(t, old, "still here")
		twin.Stop()
		synctest.Wait()
		other.Send(old.Public(), []byte("two"))
		old.Expect(t, other, "two")
		if got := s.Stats(); got.Duplicates != 1 || len(old.In) != 0 {
			t.Fatalf("%+v", got)
		}
	})
}

// A39: a key that connects again and again keeps few connections.
func TestTwinsAreFew_A39(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := relaytest.NewMesh()
		log := new(strings.Builder)
		s := relaytest.New(t, server.Config{Log: slog.New(slog.NewTextHandler(log, nil))}, m)
		k := key.NewNode()
		for range 10 {
			m.ConnectAs(t, k, relay.NewInstance(), relaytest.Pipe(s)).Up(t)
			synctest.Wait()
		}
		if got := s.Stats().Clients; got != 4 {
			t.Fatal(got, "connections of one key")
		}
		time.Sleep(5 * time.Minute) // those thrown out come back, slowly, and throw out others
		if got := s.Stats(); got.Clients > 4 || got.Duplicates > 100 {
			t.Fatalf("%+v", got)
		}
		if n := strings.Count(log.String(), "two machines use one node key"); n < 1 || n > 6 {
			t.Fatal(n, "lines in 5 minutes")
		}
	})
}

// A client that asks for more answers than it reads is not remembered for it.
func TestAnswersThatNobodyReadsAreFew_A35(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := relaytest.NewMesh()
		s := relaytest.New(t, server.Config{}, m)
		r := dialRaw(t, s, m)
		const pings = 5000
		for range pings {
			r.Write(relay.Append(nil, relay.TypePing, make([]byte, relay.PingSize)))
		}
		go func() { time.Sleep(time.Second); r.Close() }()
		pongs := 0
		for ; ; pongs++ {
			if _, _, err := relay.ReadFrame(r, r.buf); err != nil {
				break
			}
		}
		if pongs < 10 || pongs > 700 {
			t.Fatal(pongs, "answers were kept")
		}
	})
}

// A daemon that connects again takes the place of its own dead connection.
func TestSameDaemonReplacesItsOldConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := relaytest.NewMesh()
		s := relaytest.New(t, server.Config{}, m)
		k, i := key.NewNode(), relay.NewInstance()
		old := m.ConnectAs(t, k, i, relaytest.Pipe(s))
		old.Up(t)
		m.ConnectAs(t, k, i, relaytest.Pipe(s)).Up(t)
		if err := old.Down(t); err == nil {
			t.Fatal("no reason")
		}
		synctest.Wait()
		if got := s.Stats(); got.Clients != 1 || got.Duplicates != 0 {
			t.Fatalf("%+v", got)
		}
	})
}

func TestMeshHasItsLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, other := relaytest.NewMesh(), relaytest.NewMesh()
		s := relaytest.New(t, server.Config{MaxClients: 3}, m, other)
		for range 3 {
			m.Connect(t, relaytest.Pipe(s)).Up(t)
		}
		if err := m.Connect(t, relaytest.Pipe(s)).Down(t); fmt.Sprint(err) != "relay refused (5): this relay is full" {
			t.Fatal(err)
		}
		other.Connect(t, relaytest.Pipe(s)).Up(t)
	})
}

func TestDeadClientGoesWithinAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := relaytest.NewMesh()
		s := relaytest.New(t, server.Config{}, m)
		dialRaw(t, s, m) // says nothing more
		alive := m.Connect(t, relaytest.Pipe(s))
		alive.Up(t)
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := s.Stats().Clients; got != 1 {
			t.Fatal(got, "clients")
		}
		time.Sleep(time.Hour)
		if got := s.Stats().Clients; got != 1 || len(alive.States) != 0 {
			t.Fatal("one that only kept its connection lost it", got)
		}
	})
}

// A client that takes nothing ends, though it goes on to ping.
func TestStuckClientGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := relaytest.NewMesh()
		s := relaytest.New(t, server.Config{}, m)
		stuck, sender := dialRaw(t, s, m), dialRaw(t, s, m)
		if err := sender.send(stuck.key.Public(), []byte("?")); err != nil {
			t.Fatal(err)
		}
		for range 10 {
			time.Sleep(5 * time.Second)
			stuck.Write(relay.Append(nil, relay.TypePing, make([]byte, relay.PingSize)))
			sender.Write(relay.Append(nil, 0x7f, []byte("of a later version")))
		}
		if got := s.Stats().Clients; got != 1 {
			t.Fatal(got, "clients")
		}
	})
}

func TestShutdownTellsAndWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := relaytest.NewMesh()
		s := relaytest.New(t, server.Config{}, m)
		a, b := m.Connect(t, relaytest.Pipe(s)), m.Connect(t, relaytest.Pipe(s))
		a.Up(t)
		b.Up(t)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		done := make(chan struct{})
		go func() { s.Shutdown(ctx); close(done) }()
		a.Await(t, func(s relay.State) bool { return s.Connected && s.Draining })
		a.Send(b.Public(), []byte("while it drains"))
		b.Expect(t, a, "while it drains")
		began := time.Now()
		a.Stop()
		<-done
		if took := time.Since(began); took != 5*time.Second || s.Stats().Clients != 0 {
			t.Fatal("stopped after", took, s.Stats())
		}
	})
}
