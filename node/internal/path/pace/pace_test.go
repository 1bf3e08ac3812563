package pace_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/cordonmesh/cordon/node/internal/path/pace"
)

func at(seconds float64) time.Time {
	return time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC).Add(time.Duration(seconds * float64(time.Second)))
}

func TestABurstThenThePace(t *testing.T) {
	var b pace.Bucket
	r := pace.Rate{PerSecond: 2, Burst: 3}
	for i := range 3 {
		if ok, _ := b.Take(at(0), r); !ok {
			t.Fatalf("refused the %d. of a burst of three", i+1)
		}
	}
	ok, when := b.Take(at(0), r)
	if wait := when.Sub(at(0)); ok || wait < 500*time.Millisecond || wait > 502*time.Millisecond {
		t.Fatalf("the fourth: %v, in %s, want in half a second", ok, wait)
	}
	if ok, _ := b.Ready(at(0.4), r); ok {
		t.Error("ready before there is a token")
	}
	if ok, _ := b.Ready(when, r); !ok {
		t.Error("not ready at the time that was named")
	}
	if ok, _ := b.Take(when, r); !ok {
		t.Error("to ask whether it is ready took the token")
	}
	if b.Full(when.Add(1400*time.Millisecond), r) || !b.Full(when.Add(1500*time.Millisecond), r) {
		t.Error("three tokens are not there again after a second and a half")
	}
}

func TestAClockThatGoesBackNeitherGivesNorTakes(t *testing.T) {
	var b pace.Bucket
	r := pace.Rate{PerSecond: 1, Burst: 1}
	b.Take(at(10), r)
	for _, s := range []float64{9, 0} {
		if ok, _ := b.Take(at(s), r); ok {
			t.Fatalf("a token at %v s", s)
		}
	}
	if ok, _ := b.Take(at(1.1), r); !ok {
		t.Error("no token after a second by the clock as it is now")
	}
}

// In no span are there more than the burst and what the span brings, and whoever
// waits as long as they are told is never refused again.
func TestNoSpanHasMore(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var b pace.Bucket
		r := pace.Rate{PerSecond: rapid.Float64Range(0.2, 50).Draw(t, "pace"), Burst: float64(rapid.IntRange(1, 20).Draw(t, "burst"))}
		now, taken := at(0), []time.Time{}
		for range rapid.IntRange(1, 60).Draw(t, "tries") {
			now = now.Add(time.Duration(rapid.IntRange(0, 2000).Draw(t, "milliseconds")) * time.Millisecond)
			ok, when := b.Take(now, r)
			if !ok {
				if now = when; !take(&b, now, r) {
					t.Fatalf("refused at %s, the time that was named", now)
				}
			}
			taken = append(taken, now)
		}
		for i, from := range taken {
			for j := i; j < len(taken); j++ {
				if most := r.Burst + taken[j].Sub(from).Seconds()*r.PerSecond; float64(j-i+1) > most+1e-6 {
					t.Fatalf("%d in %s, at most %.2f", j-i+1, taken[j].Sub(from), most)
				}
			}
		}
	})
}

func take(b *pace.Bucket, now time.Time, r pace.Rate) bool {
	ok, _ := b.Take(now, r)
	return ok
}
