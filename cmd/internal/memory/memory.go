// Package memory keeps a program that rests small.
//
// A burst of traffic leaves a daemon with buffers and garbage that Go's collector
// has no reason to touch while nothing allocates: the daemon of a ward's PC would
// hold the memory of one large download until the next one. So whoever has
// allocated much, and then rests, gives its memory back to the machine, and unmaps
// those pages of its program that only its start had a use for.
//
// It looks at how much is allocated and at nothing else, so it needs to know
// nothing of what the program does.
package memory

import (
	"context"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"time"
)

const (
	every = 2 * time.Second
	// quiet is how much a program that rests allocates in that time: heartbeats,
	// probes, somebody who asks for its status.
	quiet = 1 << 20
	// worth is how much must have been allocated for the work of a collection.
	worth = 2 << 20
)

// Collect sets how far the heap may grow before garbage is collected, in percent
// of what is in use, unless the environment has GOGC.
func Collect(percent int) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(percent)
	}
}

// Run runs run, gives memory back whenever the program rests, and returns what
// run returns.
func Run(ctx context.Context, run func(context.Context) error) error {
	resting, stop := context.WithCancel(ctx)
	var keeper sync.WaitGroup
	keeper.Go(func() { watch(resting, every, allocated, giveBack) })
	defer keeper.Wait()
	defer stop()
	return run(ctx)
}

// watch calls give when total, which only grows, has grown by much and then rests.
func watch(ctx context.Context, every time.Duration, total func() uint64, give func()) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	var given, last uint64
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := total()
		if now-last < quiet && now-given >= worth {
			give()
			given = total() // its own work is not worth another
		}
		last = now
	}
}

// allocated is how many bytes this process has ever allocated.
func allocated() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

// giveBack collects twice: what stands in a sync.Pool outlives one collection.
func giveBack() {
	runtime.GC()
	debug.FreeOSMemory()
	letGoOfProgram()
}
