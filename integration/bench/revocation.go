//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"time"

	"connectrpc.com/connect"

	"github.com/cordonmesh/cordon/coordinator/admin"
	"github.com/cordonmesh/cordon/integration/lab"
	"github.com/cordonmesh/cordon/node/local"
)

// afterwards is for how long a datagram flow is watched once its policy is gone.
const afterwards = 400 * time.Millisecond

// revocation: a flow runs, the policy is narrowed, and what counts is the time
// from the acknowledgement to the last byte or datagram that the receiver sees.
func (b *bench) revocation() error {
	return b.inLab("revocation", func(t lab.T) {
		r := newRevoker(t)
		for range pick(b, 500, 50) {
			must(t, r.once(b.ctx, "tcp"))
		}
		r.report(b, "TCP")
		for range pick(b, 60, 10) {
			must(t, r.once(b.ctx, "udp"))
		}
		r.report(b, "UDP")
	})
}

// revoker is a mesh with one flow in it.
type revoker struct {
	t          lab.T
	api        *admin.Client
	from       *lab.Host
	at         netip.Addr
	arrived    atomic.Int64 // when the last of the flow came, in nanoseconds of begin
	begin      time.Time
	after      samples // from the acknowledgement to the last arrival, 0 if that came before
	edit       samples // the edit itself
	told       samples // from the acknowledgement until the sender's program was told
	narrow, on string
}

func newRevoker(t lab.T) *revoker {
	l := lab.Up(t, lab.Segment("hub", "ward", "ehr"))
	programs := lab.Build(t)
	c := programs.StartCoordinator(l.Host("hub"), netip.AddrPortFrom(l.Host("hub").Addr4(), 8443))
	r := &revoker{t: t, api: admin.NewSocketClient(c.Socket()), from: l.Host("ward"), begin: time.Now()}
	t.Cleanup(r.api.Close)
	r.on = tunnelPolicy()
	r.narrow = `{"grants": [{"src": ["nina@hospital.example"], "dst": ["tag:ehr"], "ip": ["tcp:80"]}], "tagOwners": {"tag:ehr": []}}`
	must(t, r.set(t.Context(), r.on))
	ward, ehr := programs.StartDaemon(l.Host("ward")), programs.StartDaemon(l.Host("ehr"))
	ward.Up(c.Token("nina@hospital.example"))
	ehr.Up(c.Token("tag:ehr"))
	ward.Wait("knows ehr", func(s *local.Status) bool { _, ok := lab.FindPeer(s, "ehr"); return ok })
	r.at = ehr.Mesh4()
	r.receive(l.Host("ehr"))
	return r
}

func (r *revoker) set(ctx context.Context, text string) error {
	_, err := r.api.SetPolicy(ctx, connect.NewRequest(&admin.SetPolicyRequest{Text: text, File: "bench.hujson"}))
	if err != nil {
		return fmt.Errorf("set the policy: %w", err)
	}
	return nil
}

func (r *revoker) now() int64 { return int64(time.Since(r.begin)) }

// receive notes when bytes and datagrams come, until the lab ends.
func (r *revoker) receive(h *lab.Host) {
	g, t := new(group), r.t
	l := h.Listen(netip.AddrPortFrom(netip.IPv4Unspecified(), sinkPort))
	var datagrams net.PacketConn
	must(t, h.Do(func() (err error) {
		datagrams, err = net.ListenPacket("udp", fmt.Sprintf("0.0.0.0:%d", echoPort))
		return err
	}))
	t.Cleanup(func() { l.Close(); datagrams.Close(); g.wait() })
	g.start(func() {
		for buf := make([]byte, 2048); ; {
			if _, _, err := datagrams.ReadFrom(buf); errors.Is(err, net.ErrClosed) {
				return
			}
			r.arrived.Store(r.now())
		}
	})
	g.start(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			stop := context.AfterFunc(t.Context(), func() { conn.Close() })
			g.start(func() {
				defer stop()
				defer conn.Close()
				for buf := make([]byte, 64<<10); ; {
					if _, err := conn.Read(buf); err != nil {
						return
					}
					r.arrived.Store(r.now())
				}
			})
		}
	})
}

// once lets a flow run, takes its right away, and notes what happened.
func (r *revoker) once(ctx context.Context, network string) error {
	if err := r.set(ctx, r.on); err != nil {
		return err
	}
	conn, err := r.open(ctx, network)
	if err != nil {
		return err
	}
	defer conn.Close()
	f := &flow{conn: conn, told: make(chan int64, 1), ended: make(chan struct{})}
	var g group
	defer g.wait()
	defer f.stopped.Store(true)
	g.start(func() { f.run(r.now, network == "tcp") })
	if err := r.arriving(ctx); err != nil {
		return err
	}
	asked := r.now()
	if err := r.set(ctx, r.narrow); err != nil {
		return err
	}
	acknowledged := r.now()
	select {
	case told := <-f.told:
		r.told.add(max(0, float64(told-acknowledged)/1e6))
	case <-time.After(10 * time.Second):
		return fmt.Errorf("the %s flow outlived its right by 10 s", network)
	}
	if network == "tcp" {
		<-f.ended
		// The sender's socket is dead: what could still come is on the way.
		time.Sleep(15 * time.Millisecond)
	} else {
		time.Sleep(afterwards)
	}
	r.edit.add(float64(acknowledged-asked) / 1e6)
	r.after.add(max(0, float64(r.arrived.Load()-acknowledged)/1e6))
	return nil
}

// open connects once the wider policy is in force at both ends.
func (r *revoker) open(ctx context.Context, network string) (conn net.Conn, err error) {
	port := map[string]uint16{"tcp": sinkPort, "udp": echoPort}[network]
	before := r.arrived.Load()
	err = until(ctx, "the flow is permitted again", func() error {
		ctx, cancel := context.WithTimeout(ctx, 250*time.Millisecond)
		defer cancel()
		if conn, err = r.from.Dial(ctx, network, netip.AddrPortFrom(r.at, port)); err != nil || network == "tcp" {
			return err
		}
		_, err = conn.Write([]byte("may I?"))
		time.Sleep(2 * time.Millisecond)
		if _, again := conn.Write([]byte("may I?")); err != nil || again != nil || r.arrived.Load() == before {
			conn.Close()
			return errors.Join(err, again, errors.New("no datagram arrived"))
		}
		return nil
	})
	return conn, err
}

// arriving waits until the flow is alive at the receiver.
func (r *revoker) arriving(ctx context.Context) error {
	begin := r.now()
	return until(ctx, "the flow runs", func() error {
		if r.arrived.Load() <= begin {
			return errors.New("nothing has arrived yet")
		}
		return nil
	})
}

// flow sends small pieces, as fast as a busy program would.
type flow struct {
	conn    net.Conn
	told    chan int64 // when its program was first told that it may not
	ended   chan struct{}
	stopped atomic.Bool
}

func (f *flow) run(now func() int64, stream bool) {
	defer close(f.ended)
	told, pause := false, 500*time.Microsecond
	for block := make([]byte, 512); !f.stopped.Load(); {
		_ = f.conn.SetWriteDeadline(time.Now().Add(10 * time.Second))
		if _, err := f.conn.Write(block); err != nil && !told {
			if told = !errors.Is(err, os.ErrDeadlineExceeded); told {
				f.told <- now()
				// Refusals are told at a bounded rate: the next flow wants its own.
				pause = 20 * time.Millisecond
			}
			if stream {
				return
			}
		}
		time.Sleep(pause)
	}
}

// report gives the rows of one kind of flow and forgets its samples.
func (r *revoker) report(b *bench, name string) {
	p99 := r.after.middle("edit acknowledged to the last byte at the receiver, "+name+", p99", "ms", atMost(250))
	p99.Value = r.after.at(0.99)
	b.results.add(
		r.after.middle("edit acknowledged to the last byte at the receiver, "+name+", p50", "ms", nil), p99,
		r.told.middle("edit acknowledged until the sender's program is told, "+name, "ms", nil),
		r.edit.middle("the edit itself, asked to acknowledged, "+name, "ms", nil),
	)
	r.after, r.told, r.edit = nil, nil, nil
}
