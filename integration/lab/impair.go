//go:build linux

package lab

import (
	"container/heap"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"
)

// Impairment is how badly a link carries what comes in by it. Neither ARP nor
// IPv6's neighbour discovery suffers: the kernel asks when it likes, and no seed
// would give the same run twice.
type Impairment struct {
	// Seed draws each packet's fate, one after the other: the n-th packet of
	// each link fares alike in every run of a seed.
	Seed   uint64
	Loss   float64       // share of packets that vanish, from 0 to 1
	Delay  time.Duration // of each
	Jitter time.Duration // more, drawn from 0 to this: packets overtake each other
	MTU    int           // a longer IP packet vanishes, and nobody is told; 0: none does
}

// fate is what becomes of one packet.
type fate struct {
	lost bool
	wait time.Duration
}

// fates draws them. Every packet takes two numbers, so that one's fate does not
// hang on those before.
func (i Impairment) fates() func(length int) fate {
	rng := rand.New(rand.NewPCG(i.Seed, 0))
	return func(length int) fate {
		lost, late := rng.Float64(), rng.Float64()
		return fate{
			lost: lost < i.Loss || i.MTU > 0 && length > i.MTU,
			wait: i.Delay + time.Duration(late*float64(i.Jitter)),
		}
	}
}

// Impaired is a link whose incoming packets pass through a queue of the kernel
// (NFQUEUE), where each waits, or ends. It comes before connection tracking, so
// a lost packet was never there.
type Impaired struct {
	host  *Host
	queue *packetQueue
	done  chan struct{}

	mu     sync.Mutex
	passed int
	lost   int
	err    error
}

// Impair makes a link of the host (eth0, ...) worse for what comes in by it,
// until the lab ends. The other direction is the neighbour's to impair.
func (h *Host) Impair(link string, how Impairment) *Impaired {
	h.lab.t.Helper()
	q, err := openQueue(h, link)
	if err != nil {
		h.lab.t.Fatalf("impair %s of %s: %v", link, h.Name, err)
	}
	i := &Impaired{host: h, queue: q, done: make(chan struct{})}
	go i.run(how.fates())
	h.lab.atEnd(i.stop)
	return i
}

// Counts gives how many packets passed and how many were lost so far.
func (i *Impaired) Counts() (passed, lost int) {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.passed, i.lost
}

func (i *Impaired) stop() {
	i.queue.close()
	<-i.done
	if i.err != nil {
		i.host.lab.t.Errorf("the impaired link of %s: %v", i.host.Name, i.err)
	}
}

// run takes packets from the queue and lets each go when its time has come.
func (i *Impaired) run(draw func(int) fate) {
	defer close(i.done)
	var waiting departures
	for {
		until := time.Time{} // for ever
		if len(waiting) > 0 {
			until = waiting[0].at
		}
		packets, err := i.queue.receive(until)
		if err != nil {
			i.err = i.queue.unlessClosed(err)
			return
		}
		now := time.Now()
		for _, p := range packets {
			if p.neighbours {
				err = errors.Join(err, i.queue.judge(p.id, true))
				continue
			}
			f := draw(p.length)
			i.count(f.lost)
			if f.lost {
				err = errors.Join(err, i.queue.judge(p.id, false))
				continue
			}
			heap.Push(&waiting, departure{p.id, now.Add(f.wait)})
		}
		for err == nil && len(waiting) > 0 && !waiting[0].at.After(now) {
			err = i.queue.judge(heap.Pop(&waiting).(departure).id, true)
		}
		if err != nil {
			i.err = i.queue.unlessClosed(fmt.Errorf("tell the kernel what becomes of a packet: %w", err))
			return
		}
	}
}

func (i *Impaired) count(lost bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if lost {
		i.lost++
	} else {
		i.passed++
	}
}

// departure is a packet that waits.
type departure struct {
	id uint32
	at time.Time
}

// departures is a heap, the next to leave first; of one moment, the first come.
type departures []departure

func (d departures) Len() int { return len(d) }
func (d departures) Less(i, j int) bool {
	if d[i].at.Equal(d[j].at) {
		return d[i].id < d[j].id
	}
	return d[i].at.Before(d[j].at)
}
func (d departures) Swap(i, j int) { d[i], d[j] = d[j], d[i] }
func (d *departures) Push(x any)   { *d = append(*d, x.(departure)) }
func (d *departures) Pop() any {
	last := (*d)[len(*d)-1]
	*d = (*d)[:len(*d)-1]
	return last
}
