package local_test

import (
	"errors"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pquerna/otp"

	"github.com/cordonmesh/cordon/coordinator/internal/auth/local"
	"github.com/cordonmesh/cordon/coordinator/internal/registry"
)

func TestLinkShowsTheSameEachTime(t *testing.T) {
	c := open(t)
	link := c.add(ana)
	one, err := c.SetUp(link)
	if err != nil {
		t.Fatal(err)
	}
	two, _ := c.SetUp(link)
	if one != two || one.Login != ana || len(raw(one.Secret)) != 20 || !one.Passkeys {
		t.Errorf("shown: %#v %s", one.Until, one.Login)
	}
	if other, _ := c.SetUp(c.add("bob@clinic.example")); other.Secret == one.Secret {
		t.Error("two people have one secret")
	}
	key, err := otp.NewKeyFromURL(one.URI)
	if err != nil || key.Secret() != one.Secret || key.AccountName() != ana || key.Period() != 30 || key.Issuer() != "Cordon mesh.clinic.example" {
		t.Errorf("an app reads %v, %v", key, err)
	}
	if u, err := url.Parse(one.URI); err != nil || strings.Contains(u.RawQuery, "+") {
		t.Errorf("an app may show a plus: %v", err)
	}
}

// Who saw a link on its way, and looked, has codes of their own, and not the person's. The
// audit tells in how many browsers a link was opened, and is not filled by it.
func TestWhoSawALinkHasNoCodes_A13_A22(t *testing.T) {
	c := open(t)
	link := c.add(ana)
	seen, err := c.People.SetUp(link, "a stranger's")
	if err != nil {
		t.Fatal(err)
	}
	c.setPassword(link, phrase)
	if seen.Secret == c.secret[ana] {
		t.Error("a stranger has the person's codes")
	}
	more := c.another(ana, "MORE")
	c.secret[ana] = seen.Secret
	if err := c.SetPassword(t.Context(), ward(), more, phrase, c.code(ana)); !errors.Is(err, local.ErrCode) {
		t.Errorf("with codes of another browser: %v", err)
	}
	for range 50 {
		c.Opened(t.Context(), more, cellar())
		c.Opened(t.Context(), link, cellar()) // which is spent
	}
	if n := c.audited("local.link-open"); n != 4 || !strings.Contains(c.said(), "number 2, from 203.0.113.66") {
		t.Errorf("told %d times", n)
	}
	c.Opened(t.Context(), c.another(ana, "ONE-MORE"), cellar())
	if n := c.audited("local.link-open"); n != 5 {
		t.Errorf("the next link is told %d times", n-4)
	}
}

func TestPoorPasswordsAreRefused(t *testing.T) {
	c := open(t)
	link := c.add(ana)
	what, err := c.SetUp(link)
	if err != nil {
		t.Fatal(err)
	}
	c.secret[ana] = what.Secret
	for _, poor := range []string{"", "short", "elevenchars", "passwordpassword", "aaaaaaaaaaaaaaaaaaaa", "123456789012", "ana@clinic.example!", "Clinic.Example2026", "qwertzqwertz12345",
		"good but with \x07 bell", strings.Repeat("long ", 60)} {
		err := c.SetPassword(t.Context(), ward(), link, poor, c.code(ana))
		if err == nil || errors.Is(err, local.ErrCode) || len(poor) > 5 && strings.Contains(err.Error(), poor) {
			t.Errorf("%q: %v", poor, err)
		}
	}
	for _, code := range []string{"", "000000", "12345", c.code(ana) + "0"} {
		if err := c.SetPassword(t.Context(), ward(), link, phrase, code); !errors.Is(err, local.ErrCode) {
			t.Errorf("code %q: %v", code, err)
		}
	}
	if err := c.SetPassword(t.Context(), ward(), link, "Gänse, die ohne Eile überqueren", c.code(ana)); err != nil {
		t.Errorf("a good one: %v", err)
	}
}

// Two who hold one link: one of them sets up, and the code that was shown is spent.
func TestLinkWorksOnce_A13(t *testing.T) {
	c := open(t)
	link := c.add(ana)
	what, err := c.SetUp(link)
	if err != nil {
		t.Fatal(err)
	}
	c.secret[ana] = what.Secret
	var all sync.WaitGroup
	var mu sync.Mutex
	done, code := 0, c.code(ana)
	for range 20 {
		all.Go(func() {
			err := c.SetPassword(t.Context(), ward(), link, phrase, code)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				done++
			} else if !errors.Is(err, local.ErrLink) && !errors.Is(err, local.ErrBusy) {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if done != 1 || c.audited("local.set-up") != 1 {
		t.Errorf("a link worked %d times", done)
	}
	if _, err := c.SetUp(link); !errors.Is(err, local.ErrLink) {
		t.Errorf("a spent link: %v", err)
	}
	if _, err := c.sign(ward(), ana, phrase); !errors.Is(err, local.ErrWrong) {
		t.Errorf("the code that set up signs in: %v", err)
	}
}

func TestLinksOfOthers_A14_A18(t *testing.T) {
	c := open(t)
	link := c.add(ana)
	for _, bad := range []string{"", "ANOTHER", link + "X", strings.ToLower(link)} {
		if _, err := c.SetUp(bad); !errors.Is(err, local.ErrLink) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	c.do(registry.DisableUser{User: ana})
	if err := c.SetPassword(t.Context(), ward(), link, phrase, "123456"); !errors.Is(err, local.ErrLink) {
		t.Errorf("of a person who was shut out: %v", err)
	}
	c.do(registry.EnableUser{User: ana})
	c.pass(24 * time.Hour)
	if _, err := c.SetUp(link); !errors.Is(err, local.ErrLink) {
		t.Errorf("after a day: %v", err)
	}
}

// A reset voids what was there.
func TestResetPersonIsOut_A22(t *testing.T) {
	c := open(t)
	c.member(ana)
	c.do(registry.ResetLocal{User: ana, Link: registry.HashSecret("ANEW"), Life: time.Hour})
	if _, err := c.sign(ward(), ana, phrase); !errors.Is(err, local.ErrWrong) {
		t.Errorf("after a reset: %v", err)
	}
	old := c.secret[ana]
	c.setPassword("ANEW", "four other words entirely")
	if c.secret[ana] == old {
		t.Error("a new link gives the old secret")
	}
	c.pass(time.Minute)
	if _, err := c.sign(ward(), ana, "four other words entirely"); err != nil {
		t.Errorf("set up anew: %v", err)
	}
}

func TestKeyIsMadeOnceForItsOwnerAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "local.key")
	if _, err := local.ReadKey(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a key that is not there: %v", err)
	}
	if _, err := local.MakeKey(path); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("its file is %v, %v", info.Mode(), err)
	}
	if _, err := local.MakeKey(path); !errors.Is(err, fs.ErrExist) {
		t.Errorf("made twice: %v", err)
	}
	if _, err := local.ReadKey(path); err != nil {
		t.Error(err)
	}
	for _, damaged := range []string{"", "cordon-local-key-1:", "cordon-local-key-1:zz", "cordon-local-key-1:00", strings.Repeat("0", 64)} {
		if err := os.WriteFile(path, []byte(damaged), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := local.ReadKey(path); err == nil || errors.Is(err, fs.ErrNotExist) || damaged != "" && strings.Contains(err.Error(), damaged) {
			t.Errorf("%q: %v", damaged, err)
		}
	}
}

// A reset that comes while a proof counts is the later of the two: what was proved is of
// the time before, and no session begins of it.
func TestProofIsOfWhatItWasJudgedBy_A22(t *testing.T) {
	c := open(t)
	c.member(ana)
	who, err := c.sign(ward(), ana, phrase)
	if err != nil {
		t.Fatal(err)
	}
	c.do(registry.ResetLocal{User: ana, Link: registry.HashSecret("ANEW"), Life: time.Hour})
	if now, _ := c.Snapshot().LocalIdentity(registry.LocalID("subject-"+ana), c.clock(), nil); now.Generation == who.Generation {
		t.Error("what was proved before a reset is as good as what comes after it")
	}
	c.setPassword("ANEW", phrase)
	c.pass(time.Minute)
	c.before = func(cmd registry.Command) { // the proof is right, and waits for its turn
		if _, proof := cmd.(registry.ProveLocal); proof {
			c.before = nil
			c.do(registry.ResetLocal{User: ana, Link: registry.HashSecret("AGAIN"), Life: time.Hour})
		}
	}
	if who, err := c.sign(ward(), ana, phrase); !errors.Is(err, local.ErrWrong) {
		t.Errorf("a proof that a reset overtook: %+v, %v", who, err)
	}
}
