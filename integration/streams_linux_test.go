package integration

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/integration/lab"
)

// stream is one direction of a live flow: what arrived, and when last.
type stream struct {
	name  string
	bytes atomic.Int64
	last  atomic.Int64 // Unix nanoseconds
}

func (s *stream) arrived(n int) {
	if n <= 0 {
		return // the end of a connection is told when somebody finds it out, and carries nothing
	}
	s.bytes.Add(int64(n))
	s.last.Store(time.Now().UnixNano())
}

// streams are live flows between two machines in TCP, UDP and ICMP, each with
// traffic in both directions, until the test ends.
type streams struct {
	all    []*stream
	ends   []chan struct{} // of the TCP connections, server's and client's in turn
	cancel context.CancelFunc
	wait   sync.WaitGroup
}

// every is the pace of each stream.
const every = 2 * time.Millisecond

// startStreams opens flows from a machine to addresses of another, on TCP port
// 443, UDP port 5000 and by ping, and waits until each carries.
func startStreams(t *testing.T, client, server *lab.Host, addrs ...netip.Addr) *streams {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	f := &streams{cancel: cancel}
	t.Cleanup(f.stop)
	for _, a := range addrs {
		f.tcp(t, ctx, client, server, a)
		f.udp(t, ctx, client, server, a)
		f.ping(t, ctx, client, a)
	}
	for _, s := range f.all {
		f.carries(t, s)
	}
	return f
}

func (f *streams) stop() { f.cancel(); f.wait.Wait() }

func (f *streams) add(format string, args ...any) *stream {
	s := &stream{name: fmt.Sprintf(format, args...)}
	f.all = append(f.all, s)
	return s
}

func (f *streams) carries(t *testing.T, s *stream) {
	t.Helper()
	before := s.bytes.Load()
	lab.Eventually(t, patience, s.name+" carries", func() (bool, string) { return s.bytes.Load() > before, "nothing arrives" })
}

// carry waits until every stream brings more than it had.
func (f *streams) carry(t *testing.T) {
	t.Helper()
	for _, s := range f.all {
		f.carries(t, s)
	}
}

// ended fails the test if anything arrives later than a second after the moment.
func (f *streams) ended(t *testing.T, since time.Time) {
	t.Helper()
	select {
	case <-time.After(time.Until(since.Add(time.Second))):
	case <-t.Context().Done():
	}
	before := make([]int64, len(f.all))
	for i, s := range f.all {
		before[i] = s.bytes.Load()
	}
	time.Sleep(quiet) // listening for what must not come
	for i, s := range f.all {
		if more := s.bytes.Load() - before[i]; more > 0 {
			t.Errorf("%s: %d bytes came more than a second after the acknowledgement", s.name, more)
		}
		t.Logf("%s: last byte %s after the acknowledgement", s.name, time.Unix(0, s.last.Load()).Sub(since).Round(time.Millisecond))
	}
}

// told fails the test unless the TCP programs of that end were told.
func (f *streams) told(t *testing.T, server, client bool) {
	t.Helper()
	for i, end := range f.ends {
		if i%2 == 0 && !server || i%2 == 1 && !client {
			continue
		}
		select {
		case <-end:
		case <-time.After(patience):
			t.Errorf("TCP connection %d was not told of its end", i)
		}
	}
}

func (f *streams) tcp(t *testing.T, ctx context.Context, client, server *lab.Host, a netip.Addr) {
	t.Helper()
	l := server.Listen(netip.AddrPortFrom(a, 443))
	defer l.Close()
	dialled, err := client.Dial(ctx, "tcp", netip.AddrPortFrom(a, 443))
	if err != nil {
		t.Fatalf("a stream to %s: %v", a, err)
	}
	accepted, err := l.Accept()
	if err != nil {
		t.Fatalf("a stream to %s: %v", a, err)
	}
	f.duplex(ctx, accepted, f.add("TCP to %s", a))
	f.duplex(ctx, dialled, f.add("TCP from %s", a))
}

// duplex writes to a connection at a pace and counts what it reads, until the
// connection ends.
func (f *streams) duplex(ctx context.Context, conn net.Conn, in *stream) {
	f.duplexWhile(ctx, conn, in, func() bool { return true })
}

// duplexWhile writes only while it speaks.
func (f *streams) duplexWhile(ctx context.Context, conn net.Conn, in *stream, speaks func() bool) {
	end := make(chan struct{})
	f.ends = append(f.ends, end)
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	f.wait.Go(func() {
		defer close(end)
		defer stop()
		defer conn.Close()
		buf := make([]byte, 32<<10)
		for {
			n, err := conn.Read(buf)
			in.arrived(n)
			if err != nil {
				return
			}
		}
	})
	f.wait.Go(func() {
		block := make([]byte, 256)
		for pace(ctx) {
			if !speaks() {
				continue
			}
			if _, err := conn.Write(block); err != nil {
				return
			}
		}
	})
}

// pace waits a moment; false when it is over.
func pace(ctx context.Context) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(every):
		return true
	}
}

func (f *streams) udp(t *testing.T, ctx context.Context, client, server *lab.Host, a netip.Addr) {
	t.Helper()
	var at net.PacketConn
	err := server.Do(func() (err error) {
		at, err = net.ListenPacket("udp", netip.AddrPortFrom(a, 5000).String())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	conn, err := client.Dial(ctx, "udp", netip.AddrPortFrom(a, 5000))
	if err != nil {
		t.Fatal(err)
	}
	context.AfterFunc(ctx, func() { at.Close(); conn.Close() })
	var from atomic.Pointer[net.Addr]
	up, down := f.add("UDP to %s", a), f.add("UDP from %s", a)
	f.wait.Go(func() { // the server hears
		buf := make([]byte, 2048)
		for ctx.Err() == nil {
			if n, who, err := at.ReadFrom(buf); err == nil {
				up.arrived(n)
				from.Store(&who)
			}
		}
	})
	f.wait.Go(func() { // and speaks, once it knows to whom
		for pace(ctx) {
			if who := from.Load(); who != nil {
				at.WriteTo(make([]byte, 256), *who)
			}
		}
	})
	f.wait.Go(func() { // a refusal is an error on the socket; the client goes on all the same
		buf := make([]byte, 2048)
		for ctx.Err() == nil {
			if n, err := conn.Read(buf); err == nil {
				down.arrived(n)
			}
		}
	})
	f.wait.Go(func() {
		for pace(ctx) {
			conn.Write(make([]byte, 256))
		}
	})
}

// ping counts echo replies: the requests arrived too.
func (f *streams) ping(t *testing.T, ctx context.Context, client *lab.Host, a netip.Addr) {
	t.Helper()
	in := f.add("ICMP to and from %s", a)
	cmd := client.Command(ctx, "ping", "-n", "-i", "0.01", a.String())
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	f.wait.Go(func() {
		defer cmd.Wait()
		countReplies(out, in)
	})
}
