package fair_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/cordonmesh/cordon/node/relay/internal/fair"
)

func frame(p *fair.Pool, n int, tag byte) *fair.Frame {
	f := p.Get(n)
	f.Bytes[0] = tag
	return f
}

func drain(q *fair.Queue, p *fair.Pool) (tags []byte) {
	for {
		n := q.Next()
		f := q.Pop()
		if f == nil {
			return tags
		}
		if n != len(f.Bytes) {
			panic("Next is not what Pop gives")
		}
		tags = append(tags, f.Bytes[0])
		p.Put(f)
	}
}

func TestTheOldestGoFirstAndTheNewestStay(t *testing.T) {
	p := new(fair.Pool)
	q := fair.New(p, 1<<20, 4)
	dropped := 0
	for i := range byte(10) {
		dropped += q.Push(fair.Key{1}, frame(p, 100, i))
	}
	if got := drain(&q, p); !slices.Equal(got, []byte{6, 7, 8, 9}) || dropped != 6 {
		t.Fatal(got, dropped)
	}
}

func TestAFloodCostsOnlyWhoSendsIt(t *testing.T) {
	p := new(fair.Pool)
	q := fair.New(p, 100_000, 1000)
	for i := range 10_000 {
		q.Push(fair.Key{1}, frame(p, 1200, 1))
		if i%1000 == 0 {
			q.Push(fair.Key{2}, frame(p, 1200, 2))
		}
	}
	got := drain(&q, p)
	count := 0
	for _, tag := range got[:20] {
		if tag == 2 {
			count++
		}
	}
	if count < 9 {
		t.Fatalf("%d of the quiet one's 10 frames in the first 20: %v", count, got[:20])
	}
}

// Whoever sends large frames gets no more bytes than who sends small ones.
func TestTurnsAreOfBytes(t *testing.T) {
	p := new(fair.Pool)
	q := fair.New(p, 10<<20, 100_000)
	for range 3000 {
		q.Push(fair.Key{1}, frame(p, 1400, 1))
		q.Push(fair.Key{2}, frame(p, 140, 2))
	}
	sum := [3]int{}
	for range 2000 {
		f := q.Pop()
		sum[f.Bytes[0]] += len(f.Bytes)
		p.Put(f)
	}
	if ratio := float64(sum[1]) / float64(sum[2]); ratio < 0.95 || ratio > 1.05 {
		t.Fatalf("%d bytes of large frames, %d of small ones", sum[1], sum[2])
	}
}

// TestQueueIsBoundedAndKeepsOrder against a plain list.
func TestQueueIsBoundedAndKeepsOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := new(fair.Pool)
		maxBytes, maxFrames := rapid.IntRange(1, 5000).Draw(t, "bytes"), rapid.IntRange(0, 8).Draw(t, "frames")
		q := fair.New(p, maxBytes, maxFrames)
		type item struct {
			from fair.Key
			n    int
			tag  byte
		}
		var held []item
		for step := range rapid.IntRange(1, 80).Draw(t, "steps") {
			if rapid.IntRange(0, 2).Draw(t, "pop") == 0 {
				f := q.Pop()
				if (f == nil) != (len(held) == 0) {
					t.Fatalf("popped %v of %d", f, len(held))
				}
				if f == nil {
					continue
				}
				at := slices.IndexFunc(held, func(i item) bool { return i.tag == f.Bytes[0] })
				if at < 0 || held[at].n != len(f.Bytes) {
					t.Fatal("popped what was dropped or never pushed")
				}
				if first := slices.IndexFunc(held, func(i item) bool { return i.from == held[at].from }); first != at {
					t.Fatal("one overtook another of the same source")
				}
				held = slices.Delete(held, at, at+1)
				p.Put(f)
				continue
			}
			it := item{fair.Key{rapid.Byte().Draw(t, "from") % 4}, rapid.IntRange(1, 3000).Draw(t, "n"), byte(step)}
			dropped := q.Push(it.from, frame(p, it.n, it.tag))
			held = append(held, it)
			sum := func(of *fair.Key) (n int) {
				for _, h := range held {
					if of == nil || h.from == *of {
						n += h.n
					}
				}
				return n
			}
			if it.n > maxBytes || maxFrames == 0 {
				if held = held[:len(held)-1]; dropped != 1 {
					t.Fatal("a frame that cannot be held cost", dropped)
				}
				continue
			}
			before := len(held)
			for sum(nil) > maxBytes || len(held) > maxFrames {
				most := 0
				for i := range held {
					if sum(&held[i].from) > sum(&held[most].from) {
						most = i
					}
				}
				tied := map[fair.Key]bool{}
				for i := range held {
					if sum(&held[i].from) == sum(&held[most].from) {
						tied[held[i].from] = true
					}
				}
				if len(tied) > 1 {
					return // either may pay: the list does not know who
				}
				held = slices.Delete(held, most, most+1)
			}
			if dropped != before-len(held) {
				t.Fatalf("dropped %d, want %d", dropped, before-len(held))
			}
		}
		if got := drain(&q, p); len(got) != len(held) || q.Next() != 0 {
			t.Fatalf("%d left, want %d", len(got), len(held))
		}
	})
}

// A write takes what fits into a TLS record, behind what is there already; a frame
// that is longer than one goes alone, or never would.
func TestFillStopsAtABatch(t *testing.T) {
	p, out := new(fair.Pool), make([]byte, fair.Largest)
	for _, tt := range []struct{ ahead, frame, count, want, left int }{
		{0, 1000, 20, 16_000, 4},
		{500, 1000, 20, 15_500, 5},
		{0, 4096, 5, fair.Batch, 1},
		{0, 1000, 3, 3000, 0},
		{0, 50_000, 2, 50_000, 1},
		{4, 50_000, 2, 4, 2},
		{0, fair.Batch, 2, fair.Batch, 1},
		{1, fair.Batch, 2, 1, 2},
		{7, 1000, 0, 7, 0},
	} {
		q := fair.New(p, 1<<20, 1000)
		for i := range tt.count {
			q.Push(fair.Key{1}, frame(p, tt.frame, byte(i)))
		}
		if got := q.Fill(out, tt.ahead); got != tt.want {
			t.Errorf("%d frames of %d behind %d: filled %d bytes, want %d", tt.count, tt.frame, tt.ahead, got, tt.want)
		}
		if tt.want > tt.ahead && out[tt.ahead] != 0 {
			t.Errorf("%d frames of %d behind %d: the oldest is not the first", tt.count, tt.frame, tt.ahead)
		}
		if left := len(drain(&q, p)); left != tt.left {
			t.Errorf("%d frames of %d behind %d: %d are left, want %d", tt.count, tt.frame, tt.ahead, left, tt.left)
		}
	}
}

func TestPushAndPopAllocateNothing(t *testing.T) {
	p := new(fair.Pool)
	q := fair.New(p, 1<<20, 1000)
	turn := func() {
		q.Push(fair.Key{1}, frame(p, 1400, 1))
		p.Put(q.Pop())
	}
	turn()
	if n := testing.AllocsPerRun(1000, turn); n >= 1 {
		t.Fatal(n, "allocations a frame")
	}
}

func BenchmarkPushPop(b *testing.B) {
	p := new(fair.Pool)
	q := fair.New(p, 1<<20, 1000)
	b.ReportAllocs()
	for b.Loop() {
		q.Push(fair.Key{1}, p.Get(1400))
		p.Put(q.Pop())
	}
}
