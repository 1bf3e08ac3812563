package local_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/coordinator/internal/auth/local"
)

// A stranger at a machine that many use, whom an hour of typing does not tire, has the right
// person wait for five minutes and no longer, whether or not the machine knows them; and has
// nobody wait who comes with a browser of their own, as on their phone.
func TestStrangerAtASharedMachineMakesNobodyWaitLong_A22(t *testing.T) {
	for _, known := range []bool{true, false} {
		c := open(t)
		c.member(ana)
		elsewhere := kiosk(cellar())
		if known {
			elsewhere = kiosk(ward())
		}
		who, err := c.signAt(elsewhere, ana, phrase)
		if err != nil {
			t.Fatal(err)
		}
		word, longest := c.Remember(who), time.Duration(0)
		for range 6 {
			longest = max(longest, c.longestWait(10))
			own := kiosk(ward())
			own.Browser = word
			if _, err := c.signAt(own, ana, phrase); err != nil {
				t.Errorf("with a browser of their own: %v", err)
			}
		}
		if longest != 5*time.Minute {
			t.Errorf("known there %t: the person waits for %v", known, longest)
		}
	}
}

// guessed counts the guesses that are judged in some days of one who tries each minute, and
// pauses until all is forgiven after each so many; 0: never.
func (c *clinic) guessed(days, breath int, judges func() bool) (judged int) {
	for end := c.clock().Add(time.Duration(days) * 24 * time.Hour); c.clock().Before(end); c.pass(time.Minute) {
		if judges() {
			if judged++; breath > 0 && judged%breath == 0 {
				c.pass(time.Hour)
			}
		}
	}
	return judged
}

func (c *clinic) wrongAtWard() bool {
	_, err := c.sign(ward(), ana, guess)
	return errors.Is(err, local.ErrWrong)
}

// longWaits judges as if there were long waits alone: five at once, then one after each of
// 1, 2, 4, 8, 15, 15 minutes and so on, until an hour without any.
func (c *clinic) longWaits() func() bool {
	wrong, at, until := 0, time.Time{}, time.Time{}
	return func() bool {
		now := c.clock()
		if now.Before(until) {
			return false
		}
		if now.Sub(at) > time.Hour {
			wrong = 0
		}
		if wrong, at = wrong+1, now; wrong >= 5 {
			until = now.Add(min(15*time.Minute, time.Minute<<(wrong-5)))
		}
		return true
	}
}

// Waits that are short for the right person's sake give a stranger no more guesses in all
// than long ones would, but for 16, at whatever pace they go on, also where the person is known.
func TestShortWaitsGiveFewGuesses_A22(t *testing.T) {
	const days = 2
	for _, breath := range []int{0, 5, 8, 9, 10, 12, 16, 20, 40} {
		c := open(t)
		c.member(ana)
		if _, err := c.sign(ward(), ana, phrase); err != nil {
			t.Fatal(err)
		}
		c.pass(time.Minute)
		judged := c.guessed(days, breath, c.wrongAtWard)
		if most := c.guessed(days, breath, c.longWaits()) + 16; judged > most {
			t.Errorf("with a pause after each %d, %d guesses were judged in %d days, at most %d may be", breath, judged, days, most)
		}
	}
}

// Who is right is forgiven the wait, and a stranger who goes on for hours is not forgiven by
// it: the waits stay as long as they were.
func TestRightProofForgivesNoStranger_A22(t *testing.T) {
	c := open(t)
	c.member(ana)
	if _, err := c.sign(ward(), ana, phrase); err != nil {
		t.Fatal(err)
	}
	c.guessed(1, 0, c.wrongAtWard)
	for c.pass(15 * time.Minute); ; c.pass(time.Minute) {
		if _, err := c.sign(ward(), ana, phrase); err == nil {
			break
		}
	}
	if longest := c.longestWait(60); longest < 10*time.Minute {
		t.Errorf("after a day of guesses the longest wait is %v", longest)
	}
}

// Who is right often, or whose proofs nobody came to look at, waits no longer for it.
func TestRightProofsMakeNoWaitLonger_A22(t *testing.T) {
	c := open(t)
	c.member(ana)
	gone, leave := context.WithCancel(t.Context())
	leave()
	for range 20 {
		if _, err := c.sign(ward(), ana, phrase); err != nil {
			t.Fatal(err)
		}
		_, _ = c.Password(gone, kiosk(ward()), local.Proof{Login: ana, Password: guess})
		c.pass(time.Minute)
	}
	if longest := c.longestWait(30); longest != 5*time.Minute {
		t.Errorf("after twenty right proofs the longest wait is %v", longest)
	}
}

// longestWait gives for how long a stranger who types for some minutes has anybody wait.
func (c *clinic) longestWait(minutes int) (longest time.Duration) {
	for range minutes {
		c.wrongAtWard()
		var wait *local.WaitError
		if _, err := c.sign(ward(), ana, guess); errors.As(err, &wait) {
			longest = max(longest, wait.For)
		}
		c.pass(time.Minute)
	}
	return longest
}

// A browser's word gives no guess more at a machine than it gives outside of the mesh, and
// none at somebody's own machine: whoever has the browser has one count for both.
func TestWordOfABrowserGivesNoGuesses_A22(t *testing.T) {
	c := open(t)
	c.member(ana)
	who, err := c.signAt(outside(ward(), ""), ana, phrase)
	if err != nil {
		t.Fatal(err)
	}
	word, judged := c.Remember(who), 0
	for i := range 40 {
		own := laptop(ana, ward())
		machine := kiosk(botnet(i))
		own.Browser, machine.Browser = word, word
		for _, at := range []local.Place{outside(ward(), word), machine, own} {
			if _, err := c.signAt(at, ana, guess); errors.Is(err, local.ErrWrong) {
				judged++
			}
		}
	}
	if judged != 10 {
		t.Errorf("%d guesses were judged in a browser and at the person's machine, 5 may be at each", judged)
	}
	for i := range 40 {
		at := kiosk(ward())
		at.Browser = fmt.Sprint(word, i) // that nobody gave
		_, _ = c.signAt(at, ana, guess)
	}
	var wait *local.WaitError
	if _, err := c.sign(ward(), ana, phrase); !errors.As(err, &wait) {
		t.Errorf("words that were made up count apart from the machine: %v", err)
	}
}
