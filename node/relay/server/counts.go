package server

import (
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/cordonmesh/cordon/coordinator/wire/key"
)

// Stats is what a relay counted since its start, and who is there now.
type Stats struct {
	Clients    int64  // connections that were admitted and stand
	Frames     uint64 // datagrams taken for a client that is here
	Bytes      uint64 // of them, with their frames
	Dropped    uint64 // of them, left behind because the receiver was too slow
	Lost       uint64 // datagrams for nodes that are not here
	Paced      uint64 // times that a client was made to wait, for it sent too much
	Refused    uint64 // connections refused or ended by the relay
	Duplicates uint64 // connections of a node key that another machine was using
}

type counts struct {
	clients                                                  atomic.Int64
	frames, bytes, dropped, lost, paced, refused, duplicates atomic.Uint64

	mu         sync.Mutex
	complained time.Time
}

func (c *counts) relayed(bytes, dropped int) {
	c.frames.Add(1)
	c.bytes.Add(uint64(bytes))
	if dropped > 0 {
		c.dropped.Add(uint64(dropped))
	}
}

// complain logs of machines that share a key, once a minute: a fight of two
// must not fill a disk.
func (c *counts) complain(log *slog.Logger, node key.NodePublic) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := time.Now(); now.Sub(c.complained) >= time.Minute {
		c.complained = now
		log.Warn("relay: two machines use one node key", "node", node.Short(), "times", c.duplicates.Load())
	}
}

// Stats gives the counts of this moment.
func (s *Server) Stats() Stats {
	c := &s.counts
	return Stats{Clients: c.clients.Load(), Frames: c.frames.Load(), Bytes: c.bytes.Load(), Dropped: c.dropped.Load(),
		Lost: c.lost.Load(), Paced: c.paced.Load(), Refused: c.refused.Load(), Duplicates: c.duplicates.Load()}
}

// Register has the counts scraped.
func (s *Server) Register(r prometheus.Registerer) error {
	if err := r.Register(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "cordon_relay_clients",
		Help: "Nodes' connections that stand."}, func() float64 { return float64(s.counts.clients.Load()) })); err != nil {
		return err
	}
	for _, m := range []struct {
		name, help string
		of         *atomic.Uint64
	}{
		{"frames_total", "Datagrams taken for a node that is connected here.", &s.counts.frames},
		{"bytes_total", "Bytes of them.", &s.counts.bytes},
		{"dropped_total", "Datagrams left behind because their receiver was too slow.", &s.counts.dropped},
		{"lost_total", "Datagrams for nodes that are not connected here.", &s.counts.lost},
		{"paced_total", "Times that a node was made to wait, for it sent too much.", &s.counts.paced},
		{"refused_total", "Connections that the relay refused or ended.", &s.counts.refused},
		{"duplicates_total", "Connections of a node key that another machine was using.", &s.counts.duplicates},
	} {
		f := prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "cordon_relay_" + m.name, Help: m.help},
			func() float64 { return float64(m.of.Load()) })
		if err := r.Register(f); err != nil {
			return err
		}
	}
	return nil
}
