package local_test

import (
	"bytes"
	"context"
	"encoding/base32"
	"log/slog"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"
	"go.uber.org/goleak"

	"github.com/cordonmesh/cordon/coordinator/internal/auth/local"
	"github.com/cordonmesh/cordon/coordinator/internal/registry"
	"github.com/cordonmesh/cordon/coordinator/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	ana    = "ana@clinic.example"
	phrase = "correct horse battery staple"
	origin = "https://mesh.clinic.example:8443"
)

// clinic is a coordinator's people, with a registry that is decided at once, a clock
// that a test sets, and a log that it reads.
type clinic struct {
	*local.People
	t   testing.TB
	key *local.Key

	mu     sync.Mutex
	state  *registry.State
	audit  []string
	now    time.Time
	log    bytes.Buffer
	secret map[string]string // of codes, by login
	alarms int
	before func(registry.Command)
}

func open(t testing.TB) *clinic {
	t.Helper()
	key, err := local.MakeKey(filepath.Join(t.TempDir(), "local.key"))
	if err != nil {
		t.Fatal(err)
	}
	c := &clinic{t: t, key: key, state: &registry.State{}, now: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC), secret: map[string]string{}}
	c.do(registry.Init{Mesh: wire.MeshID{1}, Domain: "mesh.example", IPv4: netip.MustParsePrefix("100.64.0.0/10"), IPv6: netip.MustParsePrefix("fd12:3456:789a::/48")})
	c.People = c.with(origin, key, cheap())
	return c
}

// cheap is a cost that tests with many proofs can pay.
func cheap() local.Cost { return local.Cost{Memory: 8, Passes: 1, Lanes: 1} }

func (c *clinic) with(url string, key *local.Key, cost local.Cost) *local.People {
	c.t.Helper()
	p, err := local.New(local.Config{URL: url, Key: key, Registry: c, Cost: cost, Now: c.clock, Alarm: func() { c.alarms++ },
		Log: slog.New(slog.NewJSONHandler(writer{c}, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	if err != nil {
		c.t.Fatal(err)
	}
	return p
}

type writer struct{ c *clinic }

func (w writer) Write(p []byte) (int, error) {
	w.c.mu.Lock()
	defer w.c.mu.Unlock()
	return w.c.log.Write(p)
}

func (c *clinic) clock() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clinic) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func (c *clinic) Snapshot() *registry.State {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state
}

func (c *clinic) Do(_ context.Context, actor registry.Actor, cmd registry.Command) (registry.Result, error) {
	if c.before != nil {
		c.before(cmd)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	d, err := registry.Decider{}.Decide(c.state, cmd, actor, c.now)
	c.state = d.Next
	for _, r := range d.Records {
		c.audit = append(c.audit, r.Action+" "+r.Object+" "+r.Detail)
	}
	return d.Result, err
}

func (c *clinic) do(cmd registry.Command) registry.Result {
	c.t.Helper()
	r, err := c.Do(context.Background(), registry.System, cmd)
	if err != nil {
		c.t.Fatal(err)
	}
	return r
}

// audited counts the records of an action.
func (c *clinic) audited(action string) (n int) {
	c.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range c.audit {
		if strings.HasPrefix(r, action+" ") {
			n++
		}
	}
	return n
}

// said is all that is in log and audit.
func (c *clinic) said() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.log.String() + strings.Join(c.audit, "\n")
}

// add adds a person, and gives their link.
func (c *clinic) add(login string, groups ...string) (link string) {
	c.t.Helper()
	link = strings.ToUpper(strings.NewReplacer("@", "A", ".", "B").Replace(login))
	c.do(registry.AddLocal{Subject: "subject-" + login, Login: login, Groups: groups, Link: registry.HashSecret(link), Life: 24 * time.Hour})
	return link
}

// another gives a person one more link.
func (c *clinic) another(login, link string) string {
	c.t.Helper()
	c.do(registry.ResetLocal{User: login, Link: registry.HashSecret(link), Life: 24 * time.Hour, Keep: true})
	return link
}

// member adds a person with a password and codes, who could sign in from now on.
func (c *clinic) member(login string) {
	c.t.Helper()
	link := c.add(login, "Doctors")
	c.setPassword(link, phrase)
	c.pass(time.Minute)
}

func (c *clinic) setPassword(link, password string) {
	c.t.Helper()
	what, err := c.SetUp(link)
	if err != nil {
		c.t.Fatal(err)
	}
	c.secret[what.Login] = what.Secret
	if err := c.SetPassword(c.t.Context(), ward(), link, password, c.code(what.Login)); err != nil {
		c.t.Fatal(err)
	}
}

// SetUp and SetPassword are those of the one browser that most tests have.
func (c *clinic) SetUp(link string) (local.SetUp, error) { return c.People.SetUp(link, "browser") }

func (c *clinic) SetPassword(ctx context.Context, from netip.Addr, link, password, code string) error {
	return c.People.SetPassword(ctx, from, link, "browser", password, code)
}

// code is what a person's app shows now: a reading of RFC 6238 that is not ours.
func (c *clinic) code(login string) string {
	c.t.Helper()
	code, err := totp.GenerateCode(c.secret[login], c.clock())
	if err != nil {
		c.t.Fatal(err)
	}
	return code
}

// sign signs in with a password and the code of now, at a machine that is nobody's own.
func (c *clinic) sign(from netip.Addr, login, password string) (registry.Identity, error) {
	return c.signAt(kiosk(from), login, password)
}

func (c *clinic) signAt(at local.Place, login, password string) (registry.Identity, error) {
	return c.Password(c.t.Context(), at, local.Proof{Login: login, Password: password, Code: c.code(ana)})
}

// kiosk gives the one machine of many people that is at an address.
func kiosk(a netip.Addr) local.Place { return local.Place{Node: "kiosk-" + a.String(), From: a} }

// laptop gives a person's own machine, behind an address that it shares with others.
func laptop(login string, a netip.Addr) local.Place {
	return local.Place{Node: "laptop-of-" + login, Owner: login, From: a}
}

func ward() netip.Addr   { return netip.MustParseAddr("198.51.100.7") }
func cellar() netip.Addr { return netip.MustParseAddr("203.0.113.66") }

// botnet gives the n-th of many addresses.
func botnet(n int) netip.Addr {
	return netip.AddrFrom4([4]byte{203, 0, byte(n >> 8), byte(n)})
}

func raw(secret string) []byte {
	b, _ := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(secret)
	return b
}
