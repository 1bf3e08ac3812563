package oidc

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/cordonmesh/cordon/coordinator/internal/registry"
)

const (
	claimEmail    = "email"
	claimVerified = "email_verified"
)

// What one person's token may hold. Microsoft's have up to 200 groups.
const (
	maxGroups  = 1000
	maxMethods = 32
)

// read gives who the checked claims c are about. What the userinfo said besides
// counts where the ID token is silent; nil is nothing.
func (p *Provider) read(c, more claims, j judge) (registry.Identity, error) {
	who := registry.Identity{Issuer: j.issuer, Subject: c.text("sub"), ACR: c.text("acr"), At: j.proved(c), Undated: !c.has("auth_time"), Heard: j.now}
	var err error
	source := c // never the address of one answer with the other's word for it
	if more != nil {
		source = more
	}
	if who.Login, err = login(source, p.config.LoginClaim); err != nil {
		return registry.Identity{}, unproven("%v", err)
	}
	groups, err := p.groups(c, more)
	if err != nil {
		return registry.Identity{}, unproven("%v", err)
	}
	who.Groups = p.usable(groups, who.Login)
	if who.AMR, err = methods(c); err != nil {
		return registry.Identity{}, unproven("%v", err)
	}
	if who.External, err = p.external(c); err != nil {
		return registry.Identity{}, unproven("%v", err)
	}
	if sid := c.text("sid"); isWord(sid) {
		who.SID = sid
	}
	who.Name = name(c, more)
	return who, nil
}

// external gives what a directory calls the person.
func (p *Provider) external(c claims) (string, error) {
	claim := p.config.ExternalClaim
	switch {
	case claim == "":
		return c.text("sub"), nil
	case c.has(claim) && !isWord(c.text(claim)):
		return "", fmt.Errorf("its claim %q is no word, and must say what the directory calls the person", claim)
	}
	return c.text(claim), nil
}

// proved gives when the person did it, at the latest now: else the provider's
// clock would prolong what holds from then.
func (j judge) proved(c claims) time.Time {
	at, err := c.moment("auth_time")
	if err != nil {
		at, _ = c.moment("iat") // which check has read
	}
	if at.After(j.now) {
		return j.now.UTC().Truncate(time.Second)
	}
	return at
}

// login gives the person's login in lower case: the policy names people by it,
// and mail does not tell letter cases apart.
func login(c claims, claim string) (string, error) {
	text := strings.ToLower(c.text(claim))
	switch {
	case !c.has(claim):
		return "", fmt.Errorf("neither its ID token nor its userinfo has the claim %q: let the provider send it, configure its scope, or choose another login claim", claim)
	case !isWord(c.text(claim)):
		return "", fmt.Errorf("its claim %q is %q, and a login is a word of 1 to %d ASCII characters", claim, clip(text), maxText)
	case claim != claimEmail:
		return text, nil
	case !isAddress(text):
		return "", fmt.Errorf("its claim %q is %q, which is no address of mail", claim, clip(text))
	}
	return text, verified(c)
}

// verified refuses an address that the provider does not vouch for: at many,
// people write there what they like.
func verified(c claims) error {
	switch string(c[claimVerified]) {
	case "true":
		return nil
	case "false":
		return errors.New("it says email_verified=false: have the person confirm the address at the provider, or choose another login claim")
	case "", "null":
		return errors.New("it does not say whether it verified the address (email_verified): let the provider send that, or choose another login claim")
	}
	return errors.New("its claim email_verified is no boolean: let the provider send one (a text means true to some, and whatever is written to others), or choose another login claim")
}

// isAddress tells whether s is name@domain.
func isAddress(s string) bool {
	name, domain, _ := strings.Cut(s, "@")
	return name != "" && domain != "" && !strings.Contains(domain, "@")
}

// groups gives the person's groups as the provider spells them, sorted.
func (p *Provider) groups(c, more claims) ([]string, error) {
	claim := p.config.GroupsClaim
	if err := elsewhere(c, claim); err != nil {
		return nil, err
	}
	if !c.has(claim) {
		c = more
	}
	if !c.has(claim) {
		return nil, nil
	}
	list, err := c.oneOrMore(claim)
	switch {
	case err != nil:
		return nil, err
	case len(list) > maxGroups:
		return nil, fmt.Errorf("it names %d groups of this person, more than %d: let the provider send those alone that the policy names", len(list), maxGroups)
	}
	slices.Sort(list)
	return slices.Compact(list), nil
}

// usable gives those of a person's groups that a policy can name. Whoever may name
// groups at the provider could else lock out whom they put into one.
func (p *Provider) usable(groups []string, login string) []string {
	kept := slices.DeleteFunc(slices.Clone(groups), func(g string) bool { return !registry.IsGroup(g) })
	if i := slices.IndexFunc(groups, func(g string) bool { return !registry.IsGroup(g) }); i >= 0 {
		p.config.Log.Warn("groups of a person do not count: their names are empty, too long, or hold what cannot be seen; rename them at the identity provider",
			"login", login, "groups", len(groups)-len(kept), "first", clip(groups[i]))
	}
	return kept
}

// elsewhere refuses a token that says where to ask for the groups instead of
// naming them (OpenID Connect Core section 5.6.2): Microsoft's do for people of more
// than 200. To take that for no group would spare them every forbid by group.
func elsewhere(c claims, claim string) error {
	var names map[string]json.RawMessage
	if !c.has("_claim_names") {
		return nil
	}
	err := json.Unmarshal(c["_claim_names"], &names)
	if _, ok := names[claim]; ok || err != nil {
		return fmt.Errorf("it does not name this person's groups, because they are too many for its token (_claim_names has %q): let the provider send only the groups that are assigned to this client", claim)
	}
	return nil
}

// methods gives the claim amr: "a JSON array of strings" (section 2), and nothing
// else. It may be missing.
func methods(c claims) ([]string, error) {
	if !c.has("amr") {
		return nil, nil
	}
	list, err := c.words("amr")
	if err != nil {
		return nil, err
	}
	if len(list) > maxMethods || slices.ContainsFunc(list, func(m string) bool { return !isWord(m) }) {
		return nil, fmt.Errorf(`its claim "amr" is not up to %d words`, maxMethods)
	}
	slices.Sort(list)
	return slices.Compact(list), nil
}

// name gives what people call the person, without what cannot be seen: it
// stands on pages and in the audit, and decides nothing.
func name(c, more claims) string {
	if !c.has("name") {
		c = more
	}
	text := strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) || r == utf8.RuneError {
			return -1
		}
		return r
	}, c.text("name"))
	return strings.ToValidUTF8(text[:min(len(text), maxText)], "")
}
