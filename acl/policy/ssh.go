package policy

import "time"

// SSHRule says who may log in to which accounts of which nodes over SSH. No
// rule means no login. The filter is asked besides: a rule here opens no port.
type SSHRule struct {
	Pos   Position
	Check bool       // the person has to prove again who they are
	Src   []Selector // User, Domain, Group, Role, Tag, Member or Tagged
	Dst   []Selector // User, Tag, Self, Member or Tagged
	Users []SSHUser

	// CheckPeriod is how long a proof lasts; zero means that every login wants a
	// new one, and DefaultCheckPeriod that nothing was written.
	CheckPeriod time.Duration
	AcceptEnv   []string // names of environment variables; * and ? stand for any
}

// DefaultCheckPeriod stands for a check period that the file does not name.
const DefaultCheckPeriod time.Duration = -1

// SSHUser is one entry of a rule's users.
type SSHUser struct {
	Kind   SSHUserKind
	Login  string // of a Literal: the account
	Domain string // of a LocalPart: example.com
}

// SSHUserKind says which accounts an [SSHUser] stands for.
type SSHUserKind uint8

// The zero kind is one account.
const (
	Literal   SSHUserKind = iota
	NonRoot               // autogroup:nonroot: every account but root
	LocalPart             // localpart:*@DOMAIN: for each person of the domain, the part of the login before the @
)

// SSHTest is one of the policy's own tests of its ssh rules.
type SSHTest struct {
	Pos Position
	Src Selector // User, Tag or a Net of one address
	Dst []Selector
	// Accounts that must be let in without a check or with one, only with one,
	// and not at all.
	Accept, Check, Deny []string
}
