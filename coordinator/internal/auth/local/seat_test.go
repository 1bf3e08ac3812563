package local_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/coordinator/internal/auth/local"
)

func at(seat string) local.Place { return local.Place{Node: "kiosk", Seat: seat, From: ward()} }

// Whoever types a colleague's login all day with another account of a machine that they
// share never keeps the colleague from their own account there.
func TestAccountLocksNoColleagueOut_A22(t *testing.T) {
	c := open(t)
	c.member(ana)
	if _, err := c.signAt(at("1000"), ana, phrase); err != nil {
		t.Fatal(err)
	}
	for i := range 300 { // logins that nobody has
		_, _ = c.signAt(at("1007"), fmt.Sprintf("x%d@clinic.example", i), guess)
	}
	if _, err := c.signAt(at("1008"), "ben@clinic.example", guess); !errors.Is(err, local.ErrWrong) {
		t.Errorf("a third account, of whom nobody is known: %v", err)
	}
	var wait *local.WaitError
	refused := 0
	for minute := range 12 * 60 {
		_, _ = c.signAt(at("1007"), ana, guess)
		if minute%30 == 29 {
			if _, err := c.signAt(at("1007"), ana, phrase); !errors.As(err, &wait) {
				t.Fatalf("the person is known at another's account: %v", err)
			}
			if _, err := c.signAt(at("1000"), ana, phrase); err != nil {
				refused++
			}
		}
		c.pass(time.Minute)
	}
	if refused > 0 {
		t.Errorf("the person was refused %d of 24 times", refused)
	}
}

// A machine has no more guesses the more accounts it says it has, whoever's it is, and has
// none forgotten by them.
func TestAccountsGiveNoGuesses_A22(t *testing.T) {
	c := open(t)
	c.member(ana)
	judged := 0
	for i := range 2000 {
		if _, err := c.signAt(at(fmt.Sprint(2000+i)), fmt.Sprintf("x%d@clinic.example", i), guess); errors.Is(err, local.ErrWrong) {
			judged++
		}
	}
	if judged < 500 || judged > 1000 {
		t.Errorf("%d logins were tried at one machine", judged)
	}
	c.pass(24 * time.Hour)
	for name, place := range map[string]func(seat string) local.Place{
		"a person's own": func(seat string) local.Place {
			own := laptop(ana, ward())
			own.Seat = seat
			return own
		},
		"a shared machine": at,
	} {
		c.pass(24 * time.Hour)
		if _, err := c.signAt(place("1000"), ana, phrase); err != nil {
			t.Fatal(name, err)
		}
		judged := 0
		for i := range 200 {
			for _, seat := range []string{"1000", fmt.Sprint(3000 + i)} {
				if _, err := c.signAt(place(seat), ana, guess); errors.Is(err, local.ErrWrong) {
					judged++
				}
			}
		}
		if judged > 25 {
			t.Errorf("%s: %d guesses of one login were judged", name, judged)
		}
	}
}
