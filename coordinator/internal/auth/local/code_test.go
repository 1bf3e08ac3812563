package local_test

import (
	"errors"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"github.com/cordonmesh/cordon/coordinator/internal/auth/local"
)

// Telephones' clocks are off by half a minute, and not by more. A code before one that
// counted counts no more, though its time is not over: who looked over a shoulder has it.
func TestCodesOfClocksThatAreOff_A22(t *testing.T) {
	c := open(t)
	c.member(ana)
	c.pass(10 * time.Minute)
	try := func(what string, off time.Duration, counts bool) {
		t.Helper()
		code, err := totp.GenerateCode(c.secret[ana], c.clock().Add(off))
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.Password(t.Context(), kiosk(ward()), local.Proof{Login: ana, Password: phrase, Code: code})
		if counts != (err == nil) || err != nil && !errors.Is(err, local.ErrWrong) {
			t.Errorf("%s: %v", what, err)
		}
	}
	try("a minute behind", -time.Minute, false)
	try("a minute ahead", time.Minute, false)
	try("half a minute behind", -30*time.Second, true)
	try("that once more", -30*time.Second, false)
	try("that of now", 0, true)
	try("the one before that of now", -30*time.Second, false)
	try("half a minute ahead", 30*time.Second, true)
	try("that of now, once more", 0, false)
	c.pass(30 * time.Second)
	try("that of half a minute ahead, when its time has come", 0, false)
	c.pass(30 * time.Second)
	try("the next one", 0, true)
}
