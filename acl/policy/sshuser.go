package policy

import (
	"fmt"
	"strings"
)

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

// sshUsers reads a rule's accounts.
func (r *ruleReader) sshUsers(items []item) []SSHUser {
	var all []SSHUser
	for _, it := range items {
		u, bad := r.names.sshUser(it.text)
		if bad != nil {
			r.failAt(it.at, "users", it.text, bad)
			continue
		}
		all = append(all, u)
	}
	return all
}

// sshUser reads one account. What looks like another name of the language is an
// account of that name: an operating system may have any.
func (n *names) sshUser(text string) (SSHUser, *complaint) {
	if bad := checkAccount(text); bad != nil {
		return SSHUser{}, bad
	}
	if text == "autogroup:nonroot" {
		return SSHUser{Kind: NonRoot}, nil
	}
	if domain, ok := strings.CutPrefix(text, "localpart:*@"); ok {
		return SSHUser{Kind: LocalPart, Domain: domain}, n.checkDomain(domain)
	}
	return SSHUser{Kind: Literal, Login: text}, nil
}

func checkAccount(text string) *complaint {
	if text == "" || text == "*" {
		return complainWhole(fmt.Sprintf("user %q is not valid", text), "name an account, or autogroup:nonroot for all but root")
	}
	return nil
}
