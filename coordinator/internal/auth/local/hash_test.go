package local_test

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/coordinator/internal/auth/local"
	"github.com/cordonmesh/cordon/coordinator/internal/registry"
)

// hashed gives how a person's password is kept, opened.
func (c *clinic) hashed(login string) string {
	c.t.Helper()
	id := registry.LocalID("subject-" + login)
	l, _ := c.Snapshot().Local(id)
	phc, err := c.key.Unseal(id, l.Password)
	if err != nil {
		c.t.Fatal(err)
	}
	return string(phc)
}

// Who says no cost has that which the docs tell of: less would make a stolen disk's
// passwords cheap to guess. No two are salted alike.
func TestPasswordsCostWhatIsSaid_A58(t *testing.T) {
	c := open(t)
	c.People = c.with(origin, c.key, local.Cost{})
	form := regexp.MustCompile(`^\$argon2id\$v=19\$m=65536,t=3,p=1\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}$`) // 16 bytes of salt, 32 of hash
	c.member(ana)
	c.member("eve@clinic.example")
	a, e := c.hashed(ana), c.hashed("eve@clinic.example")
	if !form.MatchString(a) || !form.MatchString(e) || a == e {
		t.Errorf("one password of two people is kept as\n%s\n%s", a, e)
	}
}

// A hash is Argon2id's: that of the reference implementation, version 20171227, opens.
// What is none of it opens nothing, nor what would cost a hundred times as much.
func TestPasswordIsHashedAsTheReferenceDoes(t *testing.T) {
	// printf 'correct horse battery staple' | argon2 0123456789abcdef -id -t 3 -k 65536 -p 1 -l 32 -e
	const reference = "$argon2id$v=19$m=65536,t=3,p=1$MDEyMzQ1Njc4OWFiY2RlZg$lMhvVBq9s9mqv+pZqgOWNUlIPpwLGnkzbna1TO5skX4"
	c := open(t)
	c.member(ana)
	id := registry.LocalID("subject-" + ana)
	for phc, opens := range map[string]bool{
		reference: true,
		strings.Replace(reference, "argon2id", "argon2i", 1):   false,
		strings.Replace(reference, "v=19", "v=16", 1):          false,
		strings.Replace(reference, "t=3", "t=03", 1):           false,
		strings.Replace(reference, "t=3", "t=3000", 1):         false,
		strings.Replace(reference, "m=65536", "m=16777216", 1): false,
	} {
		l, _ := c.Snapshot().Local(id)
		c.do(registry.SetUpLocal{Link: registry.HashSecret(c.another(ana, "MORE")), Password: c.key.Seal(id, phc), TOTP: l.TOTP})
		c.pass(time.Minute)
		if _, err := c.sign(ward(), ana, phrase); (err == nil) != opens {
			t.Errorf("by %s: %v", phc, err)
		}
	}
}
