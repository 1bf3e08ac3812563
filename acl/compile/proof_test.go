package compile_test

import (
	"testing"
	"time"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/acl/compile"
)

// All that one mfa asks for is met by one login: a fresh password does not make this
// morning's key fresh (NIST SP 800-63B binds a session to the authentication that began
// it). What two ask for, a rule and a floor or the floors of two segments, each of them
// may have from another login.
func TestOneMFAIsMetByOneLogin(t *testing.T) {
	key := compile.Login{At: wardStart().Add(-5 * time.Hour), Until: wardStart().Add(9 * time.Hour), AMR: []string{"hwk"}}
	fresh := compile.Login{At: wardStart().Add(-10 * time.Minute), Until: wardStart().Add(9 * time.Hour), AMR: []string{"pwd"}}
	both := compile.Login{At: fresh.At, Until: fresh.Until, AMR: []string{"hwk"}}
	segment := func(name, requires string) string {
		return `"seg:` + name + `": {"members": ["tag:ehr"], "owner": "ada@h", "requires": {"mfa": ` + requires + `}},`
	}
	policy := func(floors, when string) string {
		return `"segments": {` + floors + `}, "grants": [{"src": ["ada@h"], "dst": ["tag:ehr"], "ip": ["tcp:443"]` + keyed("when", when) + `}]`
	}
	const isFresh, isKey, isBoth = `{"within": "1h"}`, `{"amr": ["hwk"]}`, `{"within": "1h", "amr": ["hwk"]}`
	for what, text := range map[string]string{
		"one":                    policy("", `"mfa": `+isBoth),
		"one floor":              policy(segment("a", isBoth), ""),
		"a rule and a floor":     policy(segment("a", isFresh), `"mfa": `+isKey),
		"two segments":           policy(segment("a", isFresh)+segment("b", isKey), ""),
		"a floor, twice written": policy(segment("a", isBoth), `"mfa": `+isBoth),
	} {
		apart := what == "a rule and a floor" || what == "two segments"
		for _, c := range []struct {
			logins []compile.Login
			want   bool
		}{
			{nil, false}, {[]compile.Login{key}, false}, {[]compile.Login{fresh}, false}, {[]compile.Login{both}, true},
			{[]compile.Login{key, fresh}, apart}, {[]compile.Login{fresh, key}, apart}, {[]compile.Login{key, fresh, both}, true},
		} {
			laptop := bedNode(1, "ada@h")
			m := bed(t, text, wardStart(), laptop, bedNode(2, "tag:ehr"))
			laptop.Facts = m.FactsOf(&compile.Evidence{Logins: c.logins}, wardStart())
			m.Put(laptop)
			if got := m.Allowed(bedAddr(1), bedAddr(2), acl.TCP, 443); got != c.want {
				t.Errorf("%s, by %d logins: %v, want %v\n%s", what, len(c.logins), got, c.want, text)
			}
		}
	}
}
