package standing_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cordonmesh/cordon/coordinator/internal/auth/standing"
	"github.com/cordonmesh/cordon/coordinator/internal/registry"
)

// How many are signed in at once in what follows.
const (
	hospital = 10_000
	ward     = 1_000
)

func (a *asked) come(people int) {
	for i := range people {
		a.Add(one(fmt.Sprint(i)))
	}
}

// times gives how often each was asked for, since a number of questions.
func (a *asked) times(since int) (times map[string]int, asks int) {
	times = map[string]int{}
	a.locked(func() {
		for _, name := range a.asks[since:] {
			times[name]++
		}
		asks = len(a.asks)
	})
	return times, asks
}

// crowd gives how many questions were under way at once, at most.
func (a *asked) crowd() (most int) {
	a.locked(func() { most = a.most })
	return most
}

// uneven tells who of so many was asked for so often that somebody else was more than a
// lead of questions, and the one under way, behind.
func (a *asked) uneven(of, lead int) string {
	times, rounds := map[string]int{}, map[int]int{}
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, name := range a.asks {
		n := times[name] + 1
		if least := n - 1 - lead; least > 0 && rounds[least] < of {
			return fmt.Sprintf("%s was asked for %d times when %d of %d had been %d times", name, n, rounds[least], of, least)
		}
		times[name] = n
		rounds[n]++
	}
	return ""
}

// A provider that takes a second for each is asked for all of a hospital once in each
// span, at an even rate, and for nobody twice before it was asked for everybody once.
func TestSlowProviderIsAskedForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAsked()
		a.during(t, func() {
			a.come(hospital)
			before := 0
			for n := range 10 {
				time.Sleep(every / 10)
				times, asks := a.times(before)
				if got := len(times); got < hospital/10*8/10 || got > hospital/10*12/10 {
					t.Errorf("%d asked for in the %dth tenth of a span", got, n+1)
				}
				before = asks
			}
			time.Sleep(5 * time.Second)
			if times, _ := a.times(0); len(times) != hospital {
				t.Errorf("%d were asked for", len(times))
			}
			time.Sleep(every / 5)
			if s := a.Stats(); s.Late > 5*time.Second || s.Behind || a.crowd() > 100 {
				t.Errorf("%+v, %d at once", s, a.crowd())
			}
			if how := a.uneven(hospital, 0); how != "" {
				t.Error(how)
			}
		})
	})
}

// Those who are due within three seconds of each other are asked for in one moment; a span
// of a second has finer beats.
func TestQuestionsComeInBeats(t *testing.T) {
	for span, beats := range map[time.Duration]int{every: 101, time.Second: 11} {
		synctest.Test(t, func(t *testing.T) {
			a := newAsked()
			a.Every = span
			began, moments := time.Now(), map[time.Duration]int{}
			a.Ask = func(context.Context, string) (registry.Identity, error) {
				a.locked(func() { moments[time.Since(began)]++ })
				return registry.Identity{}, nil
			}
			a.during(t, func() {
				a.come(ward)
				time.Sleep(span)
				synctest.Wait()
			})
			all := 0
			for _, n := range moments {
				all += n
			}
			if all < ward || len(moments) > beats || len(moments) < beats/2 {
				t.Errorf("asked for %d in a span of %v, in %d moments", all, span, len(moments))
			}
		})
	}
}

// One that cannot keep up is asked for whoever waits longest, by no more questions at
// once, and it is told that it cannot.
func TestProviderThatCannotKeepUpIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAsked()
		a.during(t, func() {
			a.locked(func() { a.slow = 99 * time.Second }) // with a second besides: a thousand seconds for all
			a.come(ward)
			if s := a.Stats(); s.Late != 0 || s.Behind {
				t.Errorf("before anybody is due: %+v", s)
			}
			time.Sleep(4000 * time.Second)
			s := a.Stats()
			if how := a.uneven(ward, 1); how != "" || a.crowd() != 100 {
				t.Errorf("%s; %d at once", how, a.crowd())
			}
			if times, _ := a.times(0); len(times) != ward || s.Late < 8*time.Minute || s.Late > 17*time.Minute || !s.Behind {
				t.Errorf("asked for %d, %+v", len(times), s)
			}
			a.locked(func() { a.slow = 0 })
			time.Sleep(2 * every)
			if s := a.Stats(); s.Late > 5*time.Second || s.Behind {
				t.Errorf("once it is fast: %+v", s)
			}
		})
		if got := a.warned(); got != 1 {
			t.Errorf("the log warns %d times", got)
		}
	})
}

// A provider that is back after hours is not asked for everybody in that moment, nor a
// span later; and nobody is asked for twice at once.
func TestProviderThatIsBackIsAskedEvenly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAsked()
		a.during(t, func() {
			a.come(ward)
			back := make(chan struct{})
			a.locked(func() {
				a.answer = func(string) (registry.Identity, error) { <-back; return registry.Identity{}, errors.New("away") }
			})
			time.Sleep(time.Hour)
			if s := a.Stats(); !s.Behind || s.Failed > 0 {
				t.Errorf("%+v", s)
			}
			a.says(registry.Identity{}, nil, nil)
			close(back)
			_, before := a.times(0)
			for range 30 {
				time.Sleep(every / 10)
				times, asks := a.times(before)
				if got := asks - before; got > ward/10*23/10 || got != len(times) {
					t.Errorf("%d questions in a tenth of a span, for %d", got, len(times))
				}
				before = asks
			}
			if s := a.Stats(); s.Late > 5*time.Second || s.Watched != ward {
				t.Errorf("%+v", s)
			}
		})
	})
}

// Somebody whose question is under way, however long, is not asked for by another.
func TestOneQuestionAtATimeForEach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAsked()
		a.during(t, func() {
			a.locked(func() { a.slow = 10 * every })
			a.Add(one("ana"))
			a.Add(one("ben"))
			time.Sleep(5 * every)
			a.Add(standing.Watched{Node: "n", Session: "s-ben", Subject: "sub-ben", Standing: "anew"})
			time.Sleep(4 * every)
			times, _ := a.times(0)
			if times["ana"] != 1 || times["ben"] != 1 || times["anew"] != 1 || a.Stats().Watched != 2 {
				t.Errorf("%v, %+v", times, a.Stats())
			}
		})
	})
}

// Who signs in anew before their turn is asked for by the new token alone.
func TestNewTokenTakesTheOldOnesPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAsked()
		a.during(t, func() {
			a.Add(one("ana"))
			a.Add(standing.Watched{Node: "n", Session: "s-ana", Subject: "sub-ana", Standing: "anew"})
			time.Sleep(every + 5*time.Second)
			if times, _ := a.times(0); times["ana"] != 0 || times["anew"] == 0 {
				t.Errorf("%v", times)
			}
		})
	})
}
