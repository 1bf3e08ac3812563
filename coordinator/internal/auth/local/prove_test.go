package local_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/coordinator/internal/auth/local"
	"github.com/cordonmesh/cordon/coordinator/internal/registry"
)

func TestPasswordAndCodeProveAPerson(t *testing.T) {
	c := open(t)
	c.member(ana)
	who, err := c.Password(t.Context(), kiosk(ward()), local.Proof{Login: " ANA@clinic.example ", Password: phrase, Code: " " + c.code(ana)[:3] + " " + c.code(ana)[3:]})
	if err != nil {
		t.Fatal(err)
	}
	if who.Issuer != registry.LocalIssuer || who.Subject != "subject-"+ana || who.Login != ana ||
		!slices.Equal(who.AMR, []string{"mfa", "otp", "pwd"}) || !who.At.Equal(c.clock()) {
		t.Errorf("proved %+v", who)
	}
	// The same letters come from another keyboard in another form (RFC 8265).
	c.do(registry.AddLocal{Subject: "bob", Login: "bob@clinic.example", Link: registry.HashSecret("BOB"), Life: time.Hour})
	c.setPassword("BOB", "Krankenwagen f\u00e4hrt los")
	c.pass(time.Minute)
	if _, err := c.Password(t.Context(), kiosk(ward()), local.Proof{Login: "bob@clinic.example", Password: "Krankenwagen fa\u0308hrt los", Code: c.code("bob@clinic.example")}); err != nil {
		t.Errorf("typed on another keyboard: %v", err)
	}
}

// A login that looks the same is the same, from whatever keyboard it comes, and whoever
// would be added beside it.
func TestLoginsThatLookAlikeAreOne_A15(t *testing.T) {
	c := open(t)
	composed, apart, wide := "j\u00e4ger@clinic.example", "ja\u0308ger@clinic.example", "J\u00c4GER\uff20clinic.example"
	c.member(composed)
	for i, typed := range []string{composed, apart, wide} {
		if who, err := c.Password(t.Context(), kiosk(ward()), local.Proof{Login: typed, Password: phrase, Code: c.code(composed)}); err != nil || who.Login != composed {
			t.Errorf("%q: %+v, %v", typed, who, err)
		}
		_, err := c.Do(t.Context(), registry.System, registry.AddLocal{Subject: fmt.Sprint(i), Login: typed, Link: registry.HashSecret("OTHER"), Life: time.Hour})
		if !errors.Is(err, registry.ErrExists) {
			t.Errorf("%q is added beside: %v", typed, err)
		}
		c.pass(time.Minute)
	}
	for _, bad := range []string{"an a@clinic.example", "ana\u200b@clinic.example", "\u2603@clinic.example", "ana\xff@clinic.example", strings.Repeat("a", 5000) + "@c.example"} {
		if _, err := c.Do(t.Context(), registry.System, registry.AddLocal{Subject: "x", Login: bad, Link: registry.HashSecret("OTHER"), Life: time.Hour}); !errors.Is(err, registry.ErrInvalid) {
			t.Errorf("%q is added: %v", bad, err)
		}
	}
}

// Whatever is wrong, it is told the same: nobody learns that a login is somebody's, or
// that a password is right.
func TestWrongProofsAreToldTheSame_A22(t *testing.T) {
	c := open(t)
	c.member(ana)
	c.add("new@clinic.example")
	for name, p := range map[string]local.Proof{
		"unknown login":    {Login: "eve@clinic.example", Password: phrase, Code: "right"},
		"wrong password":   {Login: ana, Password: phrase + "r", Code: "right"},
		"wrong code":       {Login: ana, Password: phrase, Code: "000000"},
		"no code":          {Login: ana, Password: phrase},
		"no password":      {Login: ana, Code: "right"},
		"not yet set up":   {Login: "new@clinic.example", Password: phrase, Code: "right"},
		"nothing":          {},
		"a long login":     {Login: strings.Repeat("a", 5000), Password: phrase, Code: "right"},
		"a long password":  {Login: ana, Password: strings.Repeat(phrase, 200), Code: "right"},
		"a control letter": {Login: ana, Password: phrase + "\x00", Code: "right"},
	} {
		if p.Code == "right" {
			p.Code = c.code(ana)
		}
		if who, err := c.Password(t.Context(), kiosk(cellar()), p); !errors.Is(err, local.ErrWrong) || err.Error() != local.ErrWrong.Error() || who.Login != "" {
			t.Errorf("%s: %+v, %v", name, who, err)
		}
		c.pass(20 * time.Minute)
	}
}

// It costs the same, too: an unknown login is hashed like a known one.
func TestUnknownLoginCostsTheSame_A22(t *testing.T) {
	c := open(t)
	c.member(ana)
	c.People = c.with(origin, c.key, local.Cost{Memory: 4 << 10, Passes: 1, Lanes: 1})
	c.setPassword(c.another(ana, "MORE"), phrase)
	took := map[string][]time.Duration{}
	logins := []string{ana, "eve@clinic.example"}
	for i := range 18 {
		slices.Reverse(logins) // what every second call pays is paid by both
		for _, login := range logins {
			began := time.Now()
			_, err := c.Password(t.Context(), kiosk(botnet(i)), local.Proof{Login: login, Password: "a wrong one that is long", Code: "123456"})
			if took[login] = append(took[login], time.Since(began)); !errors.Is(err, local.ErrWrong) {
				t.Fatal(err)
			}
		}
	}
	known, unknown := slices.Min(took[ana]), slices.Min(took["eve@clinic.example"])
	if known > 3*unknown || unknown > 3*known {
		t.Errorf("a known login takes %v, an unknown one %v", known, unknown)
	}
}

// A password that was hashed at another cost is hashed anew when it is right.
func TestPasswordIsHashedAnew(t *testing.T) {
	c := open(t)
	c.member(ana)
	sealed := func() string {
		l, _ := c.Snapshot().Local(registry.LocalID("subject-" + ana))
		return string(l.Password)
	}
	before := sealed()
	c.People = c.with(origin, c.key, local.Cost{Memory: 16, Passes: 1, Lanes: 1})
	for _, changes := range []bool{true, false} {
		if _, err := c.sign(ward(), ana, phrase); err != nil || (sealed() != before) != changes {
			t.Errorf("signed in: %v; hashed anew %t, want %t", err, !changes, changes)
		}
		before = sealed()
		c.pass(time.Minute)
	}
}

// A code counts once, also in many proofs at a time, and an older one counts no more.
func TestCodeCountsOnce_A22(t *testing.T) {
	c := open(t)
	c.member(ana)
	older := c.code(ana)
	c.pass(30 * time.Second)
	p := local.Proof{Login: ana, Password: phrase, Code: c.code(ana)}
	var all sync.WaitGroup
	var mu sync.Mutex
	right := 0
	for range 20 {
		all.Go(func() {
			if _, err := c.Password(t.Context(), kiosk(ward()), p); err == nil {
				mu.Lock()
				right++
				mu.Unlock()
			}
		})
	}
	all.Wait()
	if right != 1 {
		t.Errorf("a code counted %d times", right)
	}
	c.pass(30 * time.Second)
	for _, code := range []string{p.Code, older} {
		if _, err := c.Password(t.Context(), kiosk(botnet(9)), local.Proof{Login: ana, Password: phrase, Code: code}); !errors.Is(err, local.ErrWrong) {
			t.Errorf("a spent code: %v", err)
		}
	}
	if _, err := c.sign(botnet(9), ana, phrase); err != nil {
		t.Errorf("the next code: %v", err)
	}
	c.pass(10 * time.Minute)
	stale := c.code(ana)
	if c.pass(time.Minute); stale != c.code(ana) {
		if _, err := c.Password(t.Context(), kiosk(botnet(9)), local.Proof{Login: ana, Password: phrase, Code: stale}); !errors.Is(err, local.ErrWrong) {
			t.Errorf("a code of a minute ago: %v", err)
		}
	}
}

// Guesses at one login from one address are few, also when all come at once.
func TestGuessesAreFew_A22(t *testing.T) {
	c := open(t)
	c.member(ana)
	var all sync.WaitGroup
	var mu sync.Mutex
	judged := 0
	for range 30 {
		all.Go(func() {
			if _, err := c.sign(cellar(), ana, "a wrong one that is long"); errors.Is(err, local.ErrWrong) {
				mu.Lock()
				judged++
				mu.Unlock()
			}
		})
	}
	all.Wait()
	for judged < 5 { // those that found no place in the line
		if _, err := c.sign(cellar(), ana, "a wrong one that is long"); !errors.Is(err, local.ErrWrong) {
			break
		}
		judged++
	}
	if judged != 5 {
		t.Errorf("%d guesses of one moment were judged, 5 may be in a minute", judged)
	}
	var wait *local.WaitError
	if _, err := c.sign(cellar(), ana, phrase); !errors.As(err, &wait) || wait.For > time.Minute || !strings.Contains(err.Error(), "1 min") {
		t.Errorf("the right password after that: %v", err)
	}
	if _, err := c.sign(ward(), ana, phrase); err != nil {
		t.Errorf("elsewhere the person can't sign in: %v", err)
	}
	judged = 0
	for range 8 * 60 { // a night
		if _, err := c.sign(cellar(), ana, "a wrong one that is long"); errors.Is(err, local.ErrWrong) {
			judged++
		}
		c.pass(time.Minute)
	}
	if judged > 50 {
		t.Errorf("%d guesses in a night", judged)
	}
}

// Who mistypes and then is right is forgiven.
func TestRightProofForgives(t *testing.T) {
	c := open(t)
	c.member(ana)
	for range 3 {
		for range 4 {
			if _, err := c.sign(ward(), ana, "a wrong one that is long"); !errors.Is(err, local.ErrWrong) {
				t.Fatal(err)
			}
		}
		if _, err := c.sign(ward(), ana, phrase); err != nil {
			t.Fatal(err)
		}
		c.pass(time.Minute)
	}
}

// A stranger with many addresses locks a login for a while; it is told, it ends, and
// where the person works it does not hold.
func TestNobodyIsLockedOutForGood_A22(t *testing.T) {
	c := open(t)
	c.member(ana)
	if _, err := c.sign(ward(), ana, phrase); err != nil {
		t.Fatal(err)
	}
	c.pass(time.Minute)
	var wait *local.WaitError
	storm := func(from int) (judged int) {
		for i := range 100 {
			if _, err := c.sign(botnet(from+i), ana, "a wrong one that is long"); !errors.As(err, &wait) {
				judged++
			}
		}
		return judged
	}
	if judged := storm(0); judged > 20 {
		t.Errorf("%d guesses from 100 addresses were judged", judged)
	}
	if got := c.LockedOut(); len(got) != 1 || got[0].Login != ana || got[0].Until.Sub(c.clock()) > 15*time.Minute || c.alarms != 1 {
		t.Errorf("locked out %v, after %d alarms", got, c.alarms)
	}
	if n := c.audited("local.lock-out"); n != 1 || !strings.Contains(c.said(), `"level":"WARN"`) || c.Stats().LockOuts != 1 {
		t.Errorf("a lock-out is told %d times", n)
	}
	if _, err := c.sign(cellar(), ana, phrase); !errors.As(err, &wait) || wait.For > 15*time.Minute {
		t.Errorf("a locked login at a new place: %v", err)
	}
	if _, err := c.sign(ward(), ana, phrase); err != nil {
		t.Errorf("where the person works: %v", err)
	}
	c.pass(16 * time.Minute)
	if got := c.LockedOut(); len(got) != 0 {
		t.Errorf("locked out after its end: %v", got)
	}
	if _, err := c.sign(cellar(), ana, phrase); err != nil {
		t.Errorf("after the lock-out: %v", err)
	}
	judged := 0
	for i := range 20 {
		judged += storm(1000 * i)
		c.pass(time.Hour)
	}
	if judged > 200 {
		t.Errorf("%d guesses in 20 hours", judged)
	}
	c.pass(4 * time.Hour)
	if _, err := c.sign(netip.MustParseAddr("192.0.2.99"), ana, phrase); err != nil {
		t.Errorf("after a day of that: %v", err)
	}
}

// Made-up logins fill no memory, alarm nobody, and push no real login's count out.
func TestMadeUpLoginsPushNobodyOut_A22(t *testing.T) {
	c := open(t)
	c.member(ana)
	for range 5 {
		if _, err := c.sign(cellar(), ana, "a wrong one that is long"); !errors.Is(err, local.ErrWrong) {
			t.Fatal(err)
		}
	}
	for i := range 1500 {
		if _, err := c.sign(botnet(i), fmt.Sprintf("x%d@clinic.example", i), phrase); !errors.Is(err, local.ErrWrong) {
			t.Fatal(err)
		}
	}
	var wait *local.WaitError
	if _, err := c.sign(cellar(), ana, phrase); !errors.As(err, &wait) {
		t.Errorf("the count of a real login is forgotten: %v", err)
	}
	for i := range 50 {
		if _, err := c.sign(botnet(i), "one@clinic.example", phrase); err == nil {
			t.Fatal("proved nobody")
		}
	}
	if c.audited("local.lock-out") != 0 || c.alarms != 0 || len(c.LockedOut()) != 0 {
		t.Error("a login that nobody has alarms operators")
	}
}

// One machine guesses at many logins: it is slowed down, and who is known there is not.
func TestAddressThatTriesManyLogins_A22(t *testing.T) {
	c := open(t)
	c.member(ana)
	if _, err := c.sign(cellar(), ana, phrase); err != nil {
		t.Fatal(err)
	}
	c.pass(time.Minute)
	judged := 0
	for i := range 1000 {
		if _, err := c.sign(cellar(), fmt.Sprintf("x%d@clinic.example", i), phrase); errors.Is(err, local.ErrWrong) {
			judged++
		}
	}
	if judged > 200 {
		t.Errorf("%d logins were tried from one address", judged)
	}
	if _, err := c.sign(cellar(), ana, phrase); err != nil {
		t.Errorf("who signs in there each day: %v", err)
	}
	c.pass(time.Minute)
	if _, err := c.sign(ward(), ana, phrase); err != nil {
		t.Errorf("elsewhere: %v", err)
	}
}

// The journal alone says nothing of a password: its hash is sealed, too, and to one
// person. With another key nobody is let in.
func TestJournalAloneOpensNothing_A58(t *testing.T) {
	c := open(t)
	c.member(ana)
	l, _ := c.Snapshot().Local(registry.LocalID("subject-" + ana))
	b, err := json.Marshal(l)
	if err != nil || strings.Contains(string(b)+string(l.Password), "argon2id") || strings.Contains(string(l.TOTP), string(raw(c.secret[ana]))) {
		t.Errorf("the journal says %s", b)
	}
	other, err := local.MakeKey(filepath.Join(t.TempDir(), "key"))
	if err != nil {
		t.Fatal(err)
	}
	own := c.People
	if c.People = c.with(origin, other, cheap()); true {
		if _, err := c.sign(ward(), ana, phrase); !errors.Is(err, local.ErrWrong) || !strings.Contains(c.said(), "sealed with another key") {
			t.Errorf("with another key: %v", err)
		}
	}
	c.People = own
	// What is sealed for one person is nothing in another's place.
	c.do(registry.AddLocal{Subject: "eve", Login: "eve@clinic.example", Link: registry.HashSecret("EVE"), Life: time.Hour})
	c.do(registry.SetUpLocal{Link: registry.HashSecret("EVE"), Password: l.Password, TOTP: l.TOTP})
	if _, err := c.sign(botnet(1), "eve@clinic.example", phrase); !errors.Is(err, local.ErrWrong) {
		t.Errorf("a password that was copied to another person: %v", err)
	}
}

func TestNothingSecretIsSaid_A44(t *testing.T) {
	c := open(t)
	link := c.add(ana)
	what, err := c.SetUp(link)
	if err != nil {
		t.Fatal(err)
	}
	c.setPassword(link, phrase)
	code := c.code(ana)
	for range 8 {
		_, _ = c.sign(ward(), ana, "another long pass phrase")
	}
	printed := fmt.Sprintf("%v %+v %#v %s %v %+v", what, what, local.Proof{Login: ana, Password: phrase}, local.Proof{Password: phrase}, c.key, c.key)
	for _, secret := range []string{link, what.Secret, phrase, "another long pass phrase", code} {
		if strings.Contains(c.said()+printed, secret) {
			t.Errorf("%q is said:\n%s\n%s", secret, c.said(), printed)
		}
	}
}

// A flood of proofs waits in a line that has an end.
func TestFloodOfProofsIsTurnedAway_A06(t *testing.T) {
	c := open(t)
	c.People = c.with(origin, c.key, local.Cost{Memory: 2 << 10, Passes: 1, Lanes: 1})
	var all sync.WaitGroup
	var mu sync.Mutex
	busy := 0
	for i := range 400 {
		all.Go(func() {
			if _, err := c.Password(t.Context(), kiosk(botnet(i)), local.Proof{Login: fmt.Sprint(i), Password: phrase}); errors.Is(err, local.ErrBusy) {
				mu.Lock()
				busy++
				mu.Unlock()
			}
		})
	}
	all.Wait()
	if busy == 0 {
		t.Error("400 proofs at a time were all judged")
	}
}
