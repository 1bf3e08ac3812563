package memory

import (
	"context"
	"errors"
	"runtime/metrics"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestGivesBackWhenItRests(t *testing.T) {
	const k, m = 1 << 10, 1 << 20
	for _, tt := range []struct {
		what  string
		grows []uint64 // from one look to the next
		given []int    // after which looks
	}{
		{"what a start allocates", []uint64{8 * m, 10 * k, 10 * k, 10 * k}, []int{1}},
		{"a download", []uint64{0, 50 * m, 60 * m, 2 * m, m - 1, 0}, []int{4}},
		{"it stays busy", []uint64{m, m, m, 5 * m, m}, nil},
		{"heartbeats alone", []uint64{10 * k, 10 * k, 10 * k, 10 * k}, nil},
		{"much, but slowly", []uint64{m - 1, m - 1, m - 1, m - 1}, []int{2}},
		{"two downloads", []uint64{9 * m, 0, 0, 9 * m, 0, 0}, []int{1, 4}},
	} {
		t.Run(tt.what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, stop := context.WithCancel(t.Context())
				var sum uint64
				var given []int
				look := -1
				total := func() uint64 { return sum }
				grow := func() uint64 { look++; sum += tt.grows[min(look, len(tt.grows)-1)]; return total() }
				calls := 0
				// Every second call in a look that gives is that after the giving.
				ask := func() uint64 {
					if calls > 0 {
						calls = 0
						return total()
					}
					return grow()
				}
				var watcher sync.WaitGroup
				watcher.Go(func() { watch(ctx, time.Second, ask, func() { given = append(given, look); calls++ }) })
				time.Sleep(time.Duration(len(tt.grows))*time.Second + time.Millisecond)
				stop()
				watcher.Wait()
				if !slices.Equal(given, tt.given) {
					t.Errorf("given back after looks %v, want %v", given, tt.given)
				}
			})
		})
	}
}

func TestGivenBackIsReleased(t *testing.T) {
	released := func() uint64 {
		sample := []metrics.Sample{{Name: "/memory/classes/heap/released:bytes"}}
		metrics.Read(sample)
		return sample[0].Value.Uint64()
	}
	const size = 64 << 20
	pool := sync.Pool{New: func() any { return new([size]byte) }}
	buffer := pool.Get().(*[size]byte)
	for i := 0; i < size; i += 4096 {
		buffer[i] = 1
	}
	pool.Put(buffer)
	buffer = nil
	before := released()
	giveBack()
	if got := released() - before; int64(got) < size/2 {
		t.Errorf("%d bytes released, want most of %d", int64(got), size)
	}
}

func TestRunReturnsWhatItRuns(t *testing.T) {
	want := errors.New("no")
	if err := Run(t.Context(), func(context.Context) error { return want }); err != want {
		t.Errorf("got %v", err)
	}
}
