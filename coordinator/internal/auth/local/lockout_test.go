package local_test

import (
	"errors"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/coordinator/internal/auth/local"
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
