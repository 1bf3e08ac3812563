package local_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/coordinator/internal/auth/local"
	"github.com/cordonmesh/cordon/coordinator/internal/registry"
)

// outside is at no machine of the mesh, in a browser that keeps a word.
func outside(a netip.Addr, word string) local.Place {
	return local.Place{From: a, Outside: a.String(), Browser: word}
}

// What strangers on the internet guess locks nobody out at a machine of the mesh, though
// the person never was there, nor in the browser in which they proved themselves; and it
// is little.
func TestStrangersLockNobodyOutOfTheMesh_A22(t *testing.T) {
	c := open(t)
	c.member(ana)
	who, err := c.signAt(outside(ward(), ""), ana, phrase)
	if err != nil || who.Login != ana {
		t.Fatalf("outside of the mesh: %+v, %v", who, err)
	}
	if l, _ := c.Snapshot().Local(registry.LocalID(who.Subject)); len(l.Places) > 0 {
		t.Errorf("an address is remembered as a machine: %+v", l.Places)
	}
	word := c.Remember(who)
	judged := 0
	for i := range 600 {
		if _, err := c.signAt(outside(botnet(i/4), ""), ana, guess); errors.Is(err, local.ErrWrong) {
			judged++
		}
		_, _ = c.signAt(outside(ward(), ""), ana, guess)
	}
	if judged > 20 || c.audited("local.lock-out") != 1 {
		t.Errorf("%d guesses were judged, and the audit has %d lock-outs", judged, c.audited("local.lock-out"))
	}
	c.pass(time.Minute)
	var wait *local.WaitError
	if _, err := c.signAt(outside(cellar(), ""), ana, phrase); !errors.As(err, &wait) {
		t.Errorf("the login is not locked: %v", err)
	}
	for name, at := range map[string]local.Place{"a machine where they never were": kiosk(ward()), "their browser": outside(ward(), word)} {
		if _, err := c.signAt(at, ana, phrase); err != nil {
			t.Errorf("at %s: %v", name, err)
		}
		c.pass(time.Minute)
	}
	for range 30 { // one who sits at that browser guesses no more than at a machine
		_, _ = c.signAt(outside(ward(), word), ana, guess)
	}
	if _, err := c.signAt(outside(ward(), word), ana, phrase); !errors.As(err, &wait) {
		t.Errorf("guesses in a known browser have no end: %v", err)
	}
}

// A browser's word is one person's, for a month, until a reset, and nobody makes one up.
func TestWordsOfBrowsers_A22(t *testing.T) {
	for name, spoil := range map[string]func(c *clinic, word string) string{
		"a month": func(c *clinic, word string) string { c.pass(31 * 24 * time.Hour); return word },
		"a reset": func(c *clinic, word string) string {
			c.do(registry.ResetLocal{User: ana, Link: registry.HashSecret("ANEW"), Life: time.Hour})
			c.setPassword("ANEW", phrase)
			c.pass(time.Minute)
			return word
		},
		"another's": func(c *clinic, _ string) string {
			c.member("eve@clinic.example")
			return c.Remember(registry.Identity{Subject: "subject-eve@clinic.example", Generation: 1})
		},
		"a later end": func(_ *clinic, word string) string { return "9" + word },
		"rubbish":     func(*clinic, string) string { return "9999999999.A." + strings.Repeat("0", 64) },
		"nothing":     func(*clinic, string) string { return "" },
	} {
		c := open(t)
		c.member(ana)
		who, err := c.signAt(outside(ward(), ""), ana, phrase)
		if err != nil {
			t.Fatal(err)
		}
		word := spoil(c, c.Remember(who))
		for i := range 30 {
			_, _ = c.signAt(outside(botnet(i), ""), ana, guess)
		}
		c.pass(time.Minute)
		var wait *local.WaitError
		if _, err := c.signAt(outside(ward(), word), ana, phrase); !errors.As(err, &wait) {
			t.Errorf("%s is a word that counts: %v", name, err)
		}
	}
}

// The whole internet in the line leaves room to people at machines of the mesh, also where
// nobody knows them, and one of its proofs is judged at a time.
func TestStrangersLeaveRoom_A06(t *testing.T) {
	c := open(t)
	c.member(ana)
	c.People = c.with(origin, c.key, local.Cost{Memory: 2 << 10, Passes: 1, Lanes: 1})
	var all sync.WaitGroup
	var busy, judged atomic.Int32
	over, gone := context.WithCancel(t.Context())
	for i := range 60 {
		all.Go(func() {
			for n := 0; over.Err() == nil; n++ {
				login := fmt.Sprintf("x%d-%d@clinic.example", i, n)
				switch _, err := c.Password(over, outside(botnet(i), ""), local.Proof{Login: login, Password: guess}); {
				case errors.Is(err, local.ErrBusy):
					busy.Add(1)
					time.Sleep(time.Millisecond)
				case errors.Is(err, local.ErrWrong):
					judged.Add(1)
				}
			}
		})
	}
	var ours sync.WaitGroup
	for i := range 20 {
		ours.Go(func() {
			for range 3 {
				if _, err := c.signAt(kiosk(botnet(1000+i)), fmt.Sprintf("y%d@clinic.example", i), guess); !errors.Is(err, local.ErrWrong) {
					t.Errorf("at a machine of the mesh, in a flood from outside: %v", err)
				}
			}
		})
	}
	ours.Wait()
	for busy.Load() == 0 || judged.Load() == 0 {
		time.Sleep(time.Millisecond)
	}
	gone()
	all.Wait()
}

// While a stranger's proof is judged another's waits, and those at machines do not.
func TestOneStrangerIsJudgedAtATime_A06(t *testing.T) {
	c := open(t)
	c.member(ana)
	judged, release := make(chan struct{}), make(chan struct{})
	c.before = func(cmd registry.Command) {
		if _, ok := cmd.(registry.ProveLocal); ok {
			close(judged)
			<-release
		}
	}
	var first sync.WaitGroup
	first.Go(func() {
		if _, err := c.signAt(outside(ward(), ""), ana, phrase); err != nil {
			t.Errorf("who was first: %v", err)
		}
	})
	<-judged
	soon, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := c.Password(soon, outside(cellar(), ""), local.Proof{Login: "x@clinic.example", Password: guess}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a second stranger: %v", err)
	}
	if _, err := c.signAt(kiosk(ward()), "y@clinic.example", guess); !errors.Is(err, local.ErrWrong) {
		t.Errorf("at a machine: %v", err)
	}
	close(release)
	first.Wait()
}

// Strangers push nothing out of what is remembered of guesses at machines of the mesh.
func TestStrangersPushNothingOut_A22(t *testing.T) {
	c := open(t)
	c.member(ana)
	for i := range 19 {
		_, _ = c.sign(botnet(i/4), ana, guess)
	}
	for i := range 2200 {
		_, _ = c.signAt(outside(botnet(1000+i/100), ""), fmt.Sprintf("x%d@clinic.example", i), guess)
	}
	_, _ = c.sign(botnet(100), ana, guess)
	var wait *local.WaitError
	if _, err := c.sign(botnet(101), ana, guess); !errors.As(err, &wait) {
		t.Errorf("nineteen guesses are forgotten for strangers' sake: %v", err)
	}
}
