package policy

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/cordonmesh/cordon/acl"
)

// When is what a rule asks for beside who asks for what. All of it must hold; a
// field at its zero value asks for nothing. MFA, OnCall and Session are about
// people, and bind no machine; the rest binds both.
type When struct {
	MFA      *MFA
	Postures []string // all of them ("posture:managed")
	Schedule string   // name of a schedule
	OnCall   string   // name of a roster: the person must be on duty
	Risk     *int     // the device's risk, 0 to 100, must be below it
	Session  *Session
}

// MFA is a login of some strength.
type MFA struct {
	Within time.Duration // since the login; 0: it does not matter when
	AMR    []string      // one of these methods was used (RFC 8176); nil: any
	ACR    string        // the class of the login (OpenID Connect Core section 2); empty: any
}

// Session is a person's presence at a device.
type Session struct {
	Kind string        // how it began, such as "tap"; empty: any
	Idle time.Duration // it counts as ended after so long without input; 0: never
}

// Fact gives the fact that says so: one text for one meaning, such as
// "mfa:within=8h0m0s:amr=hwk|otp".
func (m *MFA) Fact() acl.Fact {
	text := "mfa"
	if m.Within > 0 {
		text += ":within=" + m.Within.String()
	}
	if len(m.AMR) > 0 {
		text += ":amr=" + strings.Join(slices.Compact(slices.Sorted(slices.Values(m.AMR))), "|")
	}
	if m.ACR != "" {
		text += ":acr=" + m.ACR
	}
	return word(text)
}

// Fact gives the fact that says so, such as "session:kind=tap:idle=10m0s".
func (s *Session) Fact() acl.Fact {
	text := "session"
	if s.Kind != "" {
		text += ":kind=" + s.Kind
	}
	if s.Idle > 0 {
		text += ":idle=" + s.Idle.String()
	}
	return word(text)
}

// SignedInFact is the fact that whoever asks is signed in at their device.
const SignedInFact = acl.SignedIn

// RiskFact is the fact that a device's risk is below a bound.
func RiskFact(below int) acl.Fact { return word("risk:<" + strconv.Itoa(below)) }

// OnCallFact is the fact that a person is on duty by a roster.
func OnCallFact(roster string) acl.Fact { return word("oncall:" + roster) }

// ApprovalFact is the fact that enough people agreed that a rule opens.
func ApprovalFact(rule acl.RuleID) acl.Fact { return word("approval:" + string(rule)) }

// GlassFact is the fact that a person broke the glass.
func GlassFact(id string) acl.Fact { return word("break-glass:" + id) }

// PersonFact is the fact that whoever sits at a device is among some sources.
func PersonFact(src []Selector) acl.Fact {
	keys := make([]string, len(src))
	for i, s := range src {
		keys[i] = s.Key()
	}
	slices.Sort(keys)
	return word(acl.PersonPrefix + strings.Join(slices.Compact(keys), "|"))
}

// word gives a text that fits a map (docs/PROTOCOL.md: at most 255 bytes, no blanks), by
// its hash if it does not.
func word(text string) acl.Fact {
	if len(text) <= maxWord && !strings.ContainsFunc(text, func(c rune) bool { return c <= ' ' || c == 0x7f || c == utf8.RuneError }) {
		return acl.Fact(text)
	}
	kind, _, _ := strings.Cut(text, ":")
	sum := sha256.Sum256([]byte(text))
	return acl.Fact(kind + ":sha256:" + hex.EncodeToString(sum[:16]))
}

const maxWord = 255 // bytes of a word in a map

// OnExpiry is what becomes of a flow when what it needs has ended.
type OnExpiry struct {
	Drain time.Duration // it may go on for so long; 0: it is cut off at once
}

// Limit bounds how much one person, or one machine, moves under a rule.
type Limit struct {
	Bytes    uint64 // at most so many
	Flows    uint64 // or so many flows
	Window   time.Duration
	OnExceed string // "alert", "throttle" or "cut"
}
