package local

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"strings"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"
	"golang.org/x/text/secure/precis"
)

// Slots is how many passwords are hashed at a time: a flood of guesses has Slots x 64 MiB
// of memory, and no more.
const Slots = 2

// Cost is what one hash costs (RFC 9106 section 3.1).
type Cost struct {
	Memory uint32 // KiB
	Passes uint32
	Lanes  uint8
}

// DefaultCost is the second choice of RFC 9106 section 4, for machines with little
// memory, in one lane: on a coordinator of two cores a hash must leave one to the
// mesh, and an attacker with more lanes gains nothing by ours being one.
func DefaultCost() Cost { return Cost{Memory: 64 << 10, Passes: 3, Lanes: 1} }

const (
	saltLength = 16
	hashLength = 32

	// Bounds of a new password, in characters: NIST SP 800-63B asks for 8 where it is
	// one of two factors, and for 64 or more to be taken.
	minPassword = 12
	maxPassword = 256
)

// hasher hashes passwords, a bounded number at a time.
type hasher struct {
	cost  Cost
	slots chan struct{}
	line  line

	strangers chan struct{} // of whom one proof is judged at a time
}

func newHasher(cost Cost) *hasher {
	return &hasher{cost: cost, slots: make(chan struct{}, Slots), line: line{of: map[seat]int{}}, strangers: make(chan struct{}, 1)}
}

// enter takes a place in the line, as that says. The whole internet may be strangers:
// they wait for each other before they do for a slot, and leave one to the mesh. It
// fails with the context's error, too.
func (h *hasher) enter(ctx context.Context, s seat) (leave func(), err error) {
	out, err := h.line.enter(s)
	if err != nil || !s.stranger {
		return out, err
	}
	select {
	case h.strangers <- struct{}{}:
		return func() { <-h.strangers; out() }, nil
	case <-ctx.Done():
		out()
		return nil, ctx.Err()
	}
}

// within calls f when there is a slot, for who has a place in the line. It fails with the
// context's error.
func (h *hasher) within(ctx context.Context, f func()) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case h.slots <- struct{}{}:
		defer func() { <-h.slots }()
	case <-ctx.Done():
		return ctx.Err()
	}
	f()
	return nil
}

// hash gives the PHC string of a password.
func (h *hasher) hash(ctx context.Context, password string) (phc []byte, err error) {
	salt := make([]byte, saltLength)
	_, _ = rand.Read(salt)
	err = h.within(ctx, func() { phc = encode(h.cost, salt, h.cost.key(password, salt)) })
	return phc, err
}

// matches tells whether a password is the one of a PHC string.
func (h *hasher) matches(ctx context.Context, password string, phc []byte) (same bool, err error) {
	cost, salt, want, err := decode(string(phc))
	if err != nil {
		return false, err
	}
	err = h.within(ctx, func() { same = subtle.ConstantTimeCompare(cost.key(password, salt), want) == 1 })
	return same, err
}

// nobody gives a PHC string that costs what a real one does, and that no password has.
func (h *hasher) nobody() []byte {
	noise := make([]byte, saltLength+hashLength)
	_, _ = rand.Read(noise)
	return encode(h.cost, noise[:saltLength], noise[saltLength:])
}

func (c Cost) key(password string, salt []byte) []byte {
	return argon2.IDKey([]byte(password), salt, c.Passes, c.Memory, c.Lanes, hashLength)
}

// encode gives the PHC string format: $argon2id$v=19$m=65536,t=3,p=1$SALT$HASH.
func encode(c Cost, salt, hash []byte) []byte {
	b64 := base64.RawStdEncoding
	return fmt.Appendf(nil, "$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, c.Memory, c.Passes, c.Lanes, b64.EncodeToString(salt), b64.EncodeToString(hash))
}

// decode reads what encode wrote, of this or another version's cost: up to 1 GiB and
// 32 passes, whoever wrote more wrote it to hurt.
func decode(phc string) (c Cost, salt, hash []byte, err error) {
	bad := errors.New("a password's hash is not in the PHC format of argon2id")
	part := strings.Split(phc, "$")
	if len(part) != 6 || part[0] != "" || part[1] != "argon2id" || part[2] != fmt.Sprintf("v=%d", argon2.Version) || len(phc) > 512 {
		return c, nil, nil, bad
	}
	var lanes uint32
	if n, err := fmt.Sscanf(part[3], "m=%d,t=%d,p=%d", &c.Memory, &c.Passes, &lanes); err != nil || n != 3 || lanes > math.MaxUint8 {
		return c, nil, nil, bad
	}
	c.Lanes = uint8(lanes)
	salt, err = base64.RawStdEncoding.Strict().DecodeString(part[4])
	if err != nil || len(salt) < 8 {
		return c, nil, nil, bad
	}
	hash, err = base64.RawStdEncoding.Strict().DecodeString(part[5])
	if err != nil || len(hash) != hashLength || c.Passes == 0 || c.Passes > 32 || c.Lanes == 0 || c.Lanes > 16 || c.Memory < 8*uint32(c.Lanes) || c.Memory > 1<<20 {
		return c, nil, nil, bad
	}
	if string(encode(c, salt, hash)) != phc {
		return c, nil, nil, bad // Sscanf takes signs, zeros and what follows
	}
	return c, salt, hash, nil
}

// canonical gives a password as it is hashed (RFC 8265 section 4.2): the same letter
// comes from different keyboards as different bytes. What that forbids is not changed,
// and matches nothing that was ever set.
func canonical(password string) (string, error) {
	if len(password) > 4*maxPassword {
		return "", errors.New("the password is too long")
	}
	return precis.OpaqueString.String(password)
}

// poor are words with which guessing begins.
const poor = "password passwort kennwort geheim secret qwertz qwerty asdfgh letmein welcome willkommen hospital clinic klinik krankenhaus cordon sommer summer winter 12345 23456 34567 45678 56789 abcdef"

// acceptable says what is wrong with a new password.
func acceptable(login, password string) error {
	plain, err := canonical(password)
	if err != nil {
		return errors.New("the password holds characters that no keyboard types, or is too long")
	}
	if n := utf8.RuneCountInString(plain); n < minPassword || n > maxPassword {
		return fmt.Errorf("the password has %d characters: take %d to %d, such as four words that have nothing to do with each other", n, minPassword, maxPassword)
	}
	name, host, _ := strings.Cut(login, "@")
	rest := strings.ToLower(plain)
	for _, word := range append([]string{login, host, name}, strings.Fields(poor)...) {
		if len(word) >= 3 {
			rest = strings.ReplaceAll(rest, word, "")
		}
	}
	different := map[rune]bool{}
	for _, r := range rest {
		different[r] = true
	}
	if len(different) < 6 || strings.Trim(rest, "0123456789 ") == "" {
		return errors.New("the password is among the first that somebody would try: take another, such as four words that have nothing to do with each other")
	}
	return nil
}
