package relay_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/cordonmesh/cordon/node/relay"
)

// stage plays measurements to a Home: "30s a=20 b=- lost:a" is, 30 s later, a
// in 20 ms, b without an answer, and the connection to a lost.
func stage(t *testing.T, h *relay.Home, now *time.Time, line string) string {
	t.Helper()
	for i, word := range strings.Fields(line) {
		if i == 0 {
			d, err := time.ParseDuration(word)
			if err != nil {
				t.Fatal(err)
			}
			*now = now.Add(d)
			continue
		}
		if name, ok := strings.CutPrefix(word, "lost:"); ok {
			h.Lost(name)
			continue
		}
		name, value, _ := strings.Cut(word, "=")
		m := relay.Measurement{Relay: name}
		if value == "-" {
			m.Err = errors.New("no answer")
		} else if _, err := fmt.Sscan(value, &m.RTT); err != nil {
			t.Fatal(err)
		}
		m.RTT *= time.Millisecond
		h.Measured(*now, m)
	}
	return h.Choose(*now)
}

func TestHome(t *testing.T) {
	for name, lines := range map[string][][2]string{
		"nobody answers":             {{"0s a=- b=-", ""}, {"30s", ""}, {"30s b=5", "b"}},
		"the nearest, at once":       {{"0s a=30 b=20 c=25", "b"}},
		"of equals the first":        {{"0s c=20 b=20 a=20", "a"}},
		"a little nearer is no gain": {{"0s a=20", "a"}, {"30s a=20 b=12", "a"}, {"90s a=20 b=12", "a"}, {"5m a=20 b=12", "a"}},
		"far ones need a share":      {{"0s a=200", "a"}, {"30s a=200 b=180", "a"}, {"90s a=200 b=180", "a"}},
		"clearly nearer, in a while": {{"0s a=60", "a"}, {"30s a=60 b=20", "a"}, {"30s a=60 b=20", "a"}, {"30s a=60 b=20", "b"}},
		"a spike moves nobody":       {{"0s a=20 b=30", "a"}, {"30s a=500 b=30", "a"}, {"90s a=400 b=30", "a"}},
		"a rival that fades":         {{"0s a=60", "a"}, {"30s b=20", "a"}, {"50s b=- a=60", "a"}, {"5s b=- a=60", "a"}, {"30s b=20", "a"}, {"30s b=20", "a"}},
		"home fails twice":           {{"0s a=10 b=50", "a"}, {"30s a=- b=50", "a"}, {"1s a=- b=50", "b"}, {"30s a=10 b=50", "b"}, {"61s a=10 b=50", "a"}},
		"home is lost":               {{"0s a=10 b=50", "a"}, {"1s lost:a", "b"}, {"30s a=10 b=50", "b"}, {"61s a=10", "a"}},
		"all fail: stay":             {{"0s a=10 b=50", "a"}, {"1s a=- b=-", "a"}, {"1s a=- b=-", "a"}, {"9m", "a"}, {"1s b=50", "b"}},
		"what is long ago":           {{"0s a=10 b=50", "a"}, {"6m a=90 b=50", "a"}, {"61s a=90 b=50", "b"}},
		"unknown relays":             {{"0s x=1 lost:y a=10", "a"}},
	} {
		t.Run(name, func(t *testing.T) {
			var h relay.Home
			h.Offer([]string{"a", "b", "c"})
			now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
			for i, l := range lines {
				if got := stage(t, &h, &now, l[0]); got != l[1] {
					t.Fatalf("after %q (%d): home is %q, want %q", l[0], i, got, l[1])
				}
			}
		})
	}
}

func TestHomeThatIsOfferedNoMoreIsLeft(t *testing.T) {
	var h relay.Home
	now := time.Unix(0, 0)
	h.Offer([]string{"a", "b"})
	stage(t, &h, &now, "0s a=10 b=50")
	h.Offer([]string{"b", "c"})
	if got := h.Choose(now); got != "b" {
		t.Fatal(got)
	}
	h.Offer([]string{"c"})
	if got := h.Choose(now); got != "" {
		t.Fatal("home is a relay that is not there:", got)
	}
}

// Whatever is measured, a node moves at most once a minute while its home answers.
func TestHomeIsSettled(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var h relay.Home
		names := []string{"a", "b", "c"}
		h.Offer(names)
		now := time.Unix(0, 0)
		home, moved := "", now
		for range 200 {
			now = now.Add(time.Duration(rapid.IntRange(1, 20).Draw(t, "pause")) * time.Second)
			for _, n := range names {
				h.Measured(now, relay.Measurement{Relay: n, RTT: time.Duration(rapid.IntRange(1, 300).Draw(t, "rtt")) * time.Millisecond})
			}
			if next := h.Choose(now); next != home {
				if home != "" && now.Sub(moved) < time.Minute {
					t.Fatalf("from %s to %s after %s", home, next, now.Sub(moved))
				}
				home, moved = next, now
			}
		}
	})
}
