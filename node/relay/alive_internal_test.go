package relay

import (
	"slices"
	"testing"
	"time"
)

// The judge of a link and the waits between links are pure, and cannot be seen
// from outside but through hours of a network's life.

func TestAliveAsksAndGivesUp(t *testing.T) {
	start := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	at := func(seconds float64) time.Time { return start.Add(time.Duration(seconds * float64(time.Second))) }
	type step struct {
		at         float64
		event      string
		ping, dead bool
		next       float64
	}
	for name, steps := range map[string][]step{
		"idle": {
			{at: 0, ping: true, next: 10}, {at: 0.05, event: "hear", next: 20}, {at: 19.9, next: 20},
			{at: 20, ping: true, next: 30}, {at: 29.9, next: 30}, {at: 30, dead: true, next: 30},
		},
		"busy and answered": {
			{at: 0, ping: true, next: 10}, {at: 0.05, event: "hear", next: 20}, {at: 1, event: "send", next: 1.55},
			{at: 1.2, event: "hear", next: 20},
		},
		"busy and silent": {
			{at: 0, ping: true, next: 10}, {at: 0.05, event: "hear", next: 20}, {at: 5, event: "send", ping: true, next: 8.5},
			{at: 8.4, event: "send", next: 8.5}, {at: 8.5, dead: true, next: 8.5},
		},
		"silence that ends": {
			{at: 0, ping: true, next: 10}, {at: 9.9, event: "hear", next: 20}, {at: 10, next: 20},
		},
	} {
		t.Run(name, func(t *testing.T) {
			a := alive{heard: at(0)}
			for _, s := range steps {
				switch now := at(s.at); s.event {
				case "hear":
					a.hear(now)
				case "send":
					a.sent = now
				}
				want := advice{ping: s.ping, dead: s.dead, next: at(s.next)}
				if got := a.judge(at(s.at)); got != want {
					t.Fatalf("at %v s: %+v, want %+v", s.at, got, want)
				}
			}
		})
	}
}

func TestBackoffGrowsAndForgets(t *testing.T) {
	var b backoff
	var got []time.Duration
	for range 8 {
		got = append(got, b.next(0, 0.999999999).Round(time.Millisecond))
	}
	ms := func(n ...time.Duration) (out []time.Duration) {
		for _, n := range n {
			out = append(out, n*time.Millisecond)
		}
		return out
	}
	if want := ms(500, 1000, 2000, 4000, 8000, 16000, 30000, 30000); !slices.Equal(got, want) {
		t.Fatal(got)
	}
	if got := b.next(time.Hour, 0); got != 125*time.Millisecond {
		t.Fatal("after a link that stood:", got)
	}
	if got := b.next(time.Second, 0); got != 500*time.Millisecond {
		t.Fatal("after a link that did not:", got)
	}
}
