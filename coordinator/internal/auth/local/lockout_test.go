package local_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/coordinator/internal/auth/local"
	"github.com/cordonmesh/cordon/coordinator/internal/registry"
)

const guess = "a wrong one that is long"

// Whoever shares a doctor's address, and types the doctor's login all day at a machine of
// their own and at each that is nobody's, never keeps the doctor from the doctor's machine.
func TestNeighbourLocksNobodyOut_A22(t *testing.T) {
	c := open(t)
	c.member(ana)
	own, other := laptop(ana, ward()), laptop("mallory@clinic.example", ward())
	refused := 0
	for minute := range 24 * 60 {
		for _, at := range []local.Place{other, kiosk(ward())} {
			_, _ = c.signAt(at, ana, guess)
		}
		if minute%30 == 29 {
			if _, err := c.signAt(own, ana, phrase); err != nil {
				refused++
			}
		}
		c.pass(time.Minute)
	}
	if refused > 0 {
		t.Errorf("the doctor was refused %d of 48 times", refused)
	}
}

// At a machine that has an owner nobody else's password is judged, right or wrong, and what
// is said of it does not tell whether anybody has that login.
func TestAnothersMachineTellsNothing_A22(t *testing.T) {
	c := open(t)
	c.member(ana)
	at := laptop("mallory@clinic.example", ward())
	for range 30 {
		for _, login := range []string{ana, "eve@clinic.example"} {
			for _, password := range []string{phrase, guess} {
				if who, err := c.signAt(at, login, password); !errors.Is(err, local.ErrMachine) || who.Login != "" {
					t.Fatalf("%s: %+v, %v", login, who, err)
				}
			}
		}
	}
	if _, err := c.signAt(kiosk(ward()), ana, phrase); err != nil {
		t.Errorf("such guesses count against the person: %v", err)
	}
	if _, err := c.signAt(laptop("ANA@Clinic.example", ward()), ana, phrase); !errors.Is(err, local.ErrWrong) {
		t.Errorf("an owner whose login is spelled otherwise, with a spent code: %v", err)
	}
}

// What is known of a ward outlives a restart: whatever strangers do at once after it, who
// owns a machine, or has signed in at one lately, signs in there.
func TestRestartLocksNobodyOut_A22(t *testing.T) {
	for name, at := range map[string]local.Place{"the doctor's own": laptop(ana, ward()), "a shared machine": kiosk(ward())} {
		c := open(t)
		c.member(ana)
		if at.Owner == "" {
			if _, err := c.signAt(at, ana, phrase); err != nil {
				t.Fatal(err)
			}
			c.pass(time.Hour)
		}
		c.People = c.with(origin, c.key, cheap())
		for i := range 400 {
			_, _ = c.signAt(kiosk(ward()), fmt.Sprintf("x%d@clinic.example", i), guess)
			_, _ = c.sign(botnet(i), ana, guess)
		}
		var wait *local.WaitError
		if _, err := c.sign(cellar(), ana, phrase); !errors.As(err, &wait) {
			t.Errorf("the login is not locked: %v", err)
		}
		if _, err := c.signAt(at, ana, phrase); err != nil {
			t.Errorf("at %s: %v", name, err)
		}
	}
}

// A place is forgotten by a month, and by a reset: it may be the thief's.
func TestPlacesAreForgotten_A22(t *testing.T) {
	for name, forget := range map[string]func(*clinic){
		"a month": func(c *clinic) { c.pass(31 * 24 * time.Hour) },
		"a reset": func(c *clinic) {
			c.do(registry.ResetLocal{User: ana, Link: registry.HashSecret("ANEW"), Life: time.Hour})
			c.setPassword("ANEW", phrase)
			c.pass(time.Minute)
		},
	} {
		c := open(t)
		c.member(ana)
		if _, err := c.sign(ward(), ana, phrase); err != nil {
			t.Fatal(err)
		}
		forget(c)
		for i := range 100 {
			_, _ = c.sign(botnet(i), ana, guess)
		}
		var wait *local.WaitError
		if _, err := c.sign(ward(), ana, phrase); !errors.As(err, &wait) {
			t.Errorf("after %s a place is still known: %v", name, err)
		}
	}
}

// What strangers do at one machine is nothing to those at another behind the same address.
func TestMadeUpLoginsSlowOneMachine_A22(t *testing.T) {
	c := open(t)
	c.member(ana)
	judged := 0
	for i := range 1000 {
		if _, err := c.signAt(kiosk(ward()), fmt.Sprintf("x%d@clinic.example", i), guess); errors.Is(err, local.ErrWrong) {
			judged++
		}
	}
	if judged > 200 {
		t.Errorf("%d logins were tried at one machine", judged)
	}
	if _, err := c.signAt(local.Place{Node: "another", From: ward()}, ana, phrase); err != nil {
		t.Errorf("at the next machine: %v", err)
	}
}

// A proof at which nobody came to look is taken back, and none of those before it: who can
// make the hasher's line long, or go away, has no more guesses for it.
func TestUnjudgedProofForgivesNothing_A22(t *testing.T) {
	c := open(t)
	c.member(ana)
	gone, leave := context.WithCancel(t.Context())
	leave()
	judged := 0
	for i := range 200 {
		at := kiosk(botnet(i / 4))
		if _, err := c.signAt(at, ana, guess); errors.Is(err, local.ErrWrong) {
			judged++
		}
		_, _ = c.Password(gone, at, local.Proof{Login: ana, Password: guess})
	}
	if judged != 20 {
		t.Errorf("%d guesses were judged, 20 may be", judged)
	}
	c.pass(time.Hour)
	for range 30 { // nor does it count
		if _, err := c.Password(gone, kiosk(ward()), local.Proof{Login: ana, Password: phrase}); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	}
	if _, err := c.sign(ward(), ana, phrase); err != nil {
		t.Errorf("after proofs that nobody judged: %v", err)
	}
}

// Who is turned away since too many wait was not charged.
func TestBusyLineChargesNobody_A06_A22(t *testing.T) {
	c := open(t)
	c.member(ana)
	c.People = c.with(origin, c.key, local.Cost{Memory: 2 << 10, Passes: 1, Lanes: 1})
	var all sync.WaitGroup
	var busy, judged atomic.Int32
	for i := range 400 {
		all.Go(func() {
			switch _, err := c.signAt(kiosk(botnet(i)), fmt.Sprintf("x%d@clinic.example", i%4), guess); {
			case errors.Is(err, local.ErrBusy):
				busy.Add(1)
			case errors.Is(err, local.ErrWrong):
				judged.Add(1)
			}
		})
	}
	all.Wait()
	if busy.Load() == 0 || judged.Load() > 80 {
		t.Errorf("%d were turned away, %d judged of 4 logins", busy.Load(), judged.Load())
	}
}

// Machines that send proofs without end make each other wait, and nobody who is known
// where they are; one alone makes nobody wait but itself.
func TestFloodLeavesRoomForWhoIsKnown_A06(t *testing.T) {
	for machines, at := range map[int]local.Place{1: kiosk(cellar()), 60: laptop(ana, ward())} {
		c := open(t)
		c.member(ana)
		c.People = c.with(origin, c.key, local.Cost{Memory: 4 << 10, Passes: 1, Lanes: 1})
		var all sync.WaitGroup
		var busy atomic.Int32
		var done atomic.Bool
		over := make(chan struct{})
		full := sync.OnceFunc(func() { close(over) })
		for i := range 60 {
			all.Go(func() {
				for n := 0; !done.Load(); n++ {
					login := fmt.Sprintf("x%d-%d@clinic.example", i, n)
					if _, err := c.Password(t.Context(), kiosk(botnet(i%machines)), local.Proof{Login: login, Password: guess}); errors.Is(err, local.ErrBusy) {
						if busy.Add(1) > 20 {
							full()
						}
						time.Sleep(time.Millisecond)
					}
				}
			})
		}
		<-over
		if _, err := c.signAt(at, ana, phrase); err != nil {
			t.Errorf("while %d machines flood: %v", machines, err)
		}
		done.Store(true)
		all.Wait()
	}
}

// Nothing that a stranger can see tells whether anybody has a login: not what is remembered
// of it when many others were tried, nor how long the answer that locks it takes.
func TestLockOutTellsNothing_A22(t *testing.T) {
	c := open(t)
	c.member(ana)
	logins := []string{ana, "nobody@clinic.example"}
	lock := func(login string) {
		for i := range 20 {
			if _, err := c.sign(botnet(i/4), login, guess); !errors.Is(err, local.ErrWrong) {
				t.Fatal(err)
			}
		}
	}
	release := make(chan struct{})
	c.before = func(cmd registry.Command) {
		if _, note := cmd.(registry.Note); note {
			<-release
		}
	}
	for _, login := range logins {
		lock(login) // and comes back, though the audit does not
	}
	close(release)
	if c.audited("local.lock-out") != 1 {
		t.Error("a lock-out is not in the audit")
	}
	c.before = nil
	for _, flood := range []int{0, 2200} {
		for i := range flood {
			_, _ = c.sign(botnet(1000+i/100), fmt.Sprintf("x%d@clinic.example", i), guess)
		}
		for _, login := range logins {
			var wait *local.WaitError
			if _, err := c.sign(botnet(5000), login, guess); !errors.As(err, &wait) {
				t.Errorf("after %d others %s: %v", flood, login, err)
			}
		}
	}
	c.pass(8 * time.Hour)
	for i := range 2200 {
		_, _ = c.sign(botnet(1000+i/100), fmt.Sprintf("y%d@clinic.example", i), guess)
	}
	for _, login := range logins { // forgotten alike: the next lock-out is the first
		lock(login)
		var wait *local.WaitError
		if _, err := c.sign(botnet(5000), login, guess); !errors.As(err, &wait) || wait.For > 15*time.Minute {
			t.Errorf("of %s is remembered: %v", login, err)
		}
	}
}

// Whom strangers locked out is helped by an operator: with a new password they come in at
// once, at a place where they never were too, and outside of the mesh. A link for one
// thing more leaves the old password, and so what was guessed at it.
func TestOperatorEndsALockOut_A22(t *testing.T) {
	c := open(t)
	c.member(ana)
	storm := func() {
		for i := range 100 {
			_, _ = c.sign(botnet(i), ana, "a wrong one that is long")
			_, _ = c.signAt(local.Place{From: botnet(i), Outside: botnet(i).String()}, ana, "a wrong one that is long")
		}
	}
	var wait *local.WaitError
	storm()
	k, more := newAuthenticator(t), c.another(ana, "MORE")
	if err := c.EnrolPasskey(t.Context(), ward(), more, k.create(c, more)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.sign(cellar(), ana, phrase); !errors.As(err, &wait) {
		t.Errorf("a passkey more ends a lock-out of the password: %v", err)
	}
	c.do(registry.ResetLocal{User: ana, Link: registry.HashSecret("ANEW"), Life: time.Hour})
	c.setPassword("ANEW", "four other words entirely")
	if out := c.LockedOut(); len(out) != 0 {
		t.Errorf("with a new password: locked out %v", out)
	}
	for name, at := range map[string]local.Place{"a new place": kiosk(cellar()), "outside": {From: cellar(), Outside: "a new address"}} {
		c.pass(time.Minute)
		if _, err := c.signAt(at, ana, "four other words entirely"); err != nil {
			t.Errorf("with a new password, at %s: %v", name, err)
		}
	}
	c.do(registry.ResetLocal{User: ana, Link: registry.HashSecret("ONCE MORE"), Life: time.Hour})
	storm()
	c.setPassword("ONCE MORE", phrase)
	c.pass(time.Minute)
	storm()
	if _, err := c.sign(cellar(), ana, phrase); !errors.As(err, &wait) {
		t.Errorf("guesses at a new password are not counted: %v", err)
	}
}
