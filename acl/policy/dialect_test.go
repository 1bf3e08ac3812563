package policy_test

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/cordonmesh/cordon/acl/policy"
)

// dialect is a list of things that a policy may or may not say: want is empty
// for what loads, and else part of the error.
type dialect []struct{ name, section, want string }

func (d dialect) run(t *testing.T) {
	t.Helper()
	for _, tt := range d {
		t.Run(tt.name, func(t *testing.T) {
			_, _, err := policy.Parse("p", []byte(world(tt.section)))
			switch {
			case tt.want == "" && err != nil:
				t.Errorf("%s\nis refused: %v", tt.section, err)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("%s\n got %v\nwant %s", tt.section, err, tt.want)
			}
		})
	}
}

func grant(src, dst string) string {
	return fmt.Sprintf(`"grants": [{"src": [%s], "dst": [%s], "ip": ["tcp:22"]}]`, src, dst)
}

func accept(src, dst string) string {
	return fmt.Sprintf(`"acls": [{"action": "accept", "src": [%s], "dst": [%s]}]`, src, dst)
}

func TestSelectorsOfTheDialect(t *testing.T) {
	dialect{
		{"internet is a destination of a grant", grant(`"*"`, `"autogroup:internet"`), ""},
		{"internet is a destination of an acl", accept(`"*"`, `"autogroup:internet:*"`), ""},
		{"internet is no source", grant(`"autogroup:internet"`, `"ct"`), `"autogroup:internet" not valid on the src side of a rule`},
		{"internet is no source of an acl", accept(`"autogroup:internet"`, `"ct:1"`), `"autogroup:internet" not valid on the src side of a rule`},
		{"internet takes no app", `"grants": [{"src": ["*"], "dst": ["autogroup:internet"], "app": {"h.example/a": [{}]}}]`, "cannot use app grants with autogroup:internet"},
		{"nor next to ip", `"grants": [{"src": ["*"], "dst": ["ct", "autogroup:internet"], "ip": ["*"], "app": {"h.example/a": []}}]`, "cannot use app grants with autogroup:internet"},
		{"danger-all is a source", grant(`"autogroup:danger-all"`, `"ct"`), ""},
		{"danger-all is a source of an acl", accept(`"autogroup:danger-all"`, `"ct:*"`), ""},
		{"danger-all is no destination", grant(`"*"`, `"autogroup:danger-all"`), `"autogroup:danger-all" not valid on the dst side of a rule`},
		{"danger-all is no destination of an acl", accept(`"*"`, `"autogroup:danger-all:*"`), `"autogroup:danger-all" not valid on the dst side of a rule`},
		{"self is no source", grant(`"autogroup:self"`, `"ct"`), `"autogroup:self" not valid on the src side of a rule`},
		{"self is no source of an acl", accept(`"autogroup:self"`, `"ct:1"`), `"autogroup:self" not valid on the src side of a rule`},
		{"roles", grant(`"autogroup:admin", "autogroup:owner", "autogroup:it-admin", "autogroup:network-admin", "autogroup:billing-admin", "autogroup:auditor"`, `"autogroup:admin"`), ""},
		{"an unknown role", grant(`"autogroup:admni"`, `"ct"`), `unknown autogroup; did you mean "autogroup:admin"?`},
		{"shared", grant(`"autogroup:shared"`, `"ct"`), ""},
		{"shared is no destination", grant(`"*"`, `"autogroup:shared"`), `"autogroup:shared" not valid on the dst side of a rule`},
		{"shared is no destination of an acl", accept(`"*"`, `"autogroup:shared:*"`), `"autogroup:shared" not valid on the dst side of a rule`},
		{"shared has no attributes", `"nodeAttrs": [{"target": ["autogroup:shared"], "attr": ["a"]}]`, "is no target of nodeAttrs"},
		{"shared owns nothing", `"autoApprovers": {"exitNode": ["autogroup:shared"]}`, "cannot own or approve"},
		{"a host by its prefix", grant(`"host:ct", "host:vlan"`, `"host:six"`), ""},
		{"a host by its prefix, in an acl", accept(`"host:ct"`, `"host:six:22", "host:vlan:*"`), ""},
		{"an unknown host by its prefix", grant(`"*"`, `"host:cd"`), "unknown host"},
		{"a login behind the prefix of hosts", grant(`"host:ada@h.example"`, `"ct"`), "unknown host"},
		{"a role takes no app", `"grants": [{"src": ["*"], "dst": ["autogroup:admin"], "ip": ["*"], "app": {"h.example/a": []}}]`, "cannot use app grants with a role"},
		{"members take an app", `"grants": [{"src": ["*"], "dst": ["autogroup:member"], "app": {"h.example/a": []}}]`, ""},
		{"tests from *", `"tests": [{"src": "*", "deny": ["ct:80"]}]`, "is no source to test from"},
		{"tests in their old words", `"tests": [{"user": "ada@h.example", "allow": ["ct:80"]}]`, ""},
		{"tests in old words and new", `"tests": [{"src": "ada@h.example", "allow": ["ct:80"], "accept": ["ct:81"]}]`, "is the old name of accept"},
		{"everybody of a domain", grant(`"user:*@h.example"`, `"user:*@h.example"`), ""},
		{"everybody of a domain, in an acl", accept(`"user:*@h.example"`, `"user:*@h.example:22"`), ""},
		{"user: without *", grant(`"user:ada@h.example"`, `"ct"`), "is no pattern of logins"},
		{"user: without a domain", grant(`"user:*@"`, `"ct"`), `"" is no domain`},
		{"user: with two domains", grant(`"user:*@a@b"`, `"ct"`), `"a@b" is no domain`},
		{"a login without a domain", grant(`"ada@"`, `"ben@"`), ""},
		{"a login of nothing", grant(`"@h.example"`, `"ct"`), "is no login"},
		{"an unknown tag as source", grant(`"tag:x"`, `"ct"`), `src=tag not found: "tag:x"`},
		{"an unknown tag as destination", grant(`"*"`, `"tag:x"`), `dst="tag:x": tag not found: "tag:x"`},
		{"an unknown tag as destination of an acl", accept(`"*"`, `"tag:x:22"`), `dst="tag:x": tag not found: "tag:x"`},
		{"an unknown tag and an unknown port", accept(`"*"`, `"tag:x:ssh"`), `dst="tag:x": tag not found: "tag:x"`},
		{"an unknown tag as owner", `"autoApprovers": {"exitNode": ["tag:x"]}`, `tag not found: "tag:x"`},
		{"a grant to every address", grant(`"*"`, `"0.0.0.0/0"`), `dst "0.0.0.0/0": to allow all IP addresses, use "*" or "autogroup:internet"`},
		{"a grant to every IPv6 address", grant(`"*"`, `"::/0"`), `dst "::/0": to allow all IP addresses, use "*" or "autogroup:internet"`},
		{"an acl to every address", accept(`"*"`, `"0.0.0.0/0:*", "[::]/0:22"`), ""},
		{"every address as source", grant(`"0.0.0.0/0", "::/0"`, `"ct"`), ""},
		{"roles, domains and others may own and approve", `"autoApprovers": {"exitNode": ["autogroup:admin", "autogroup:members", "autogroup:tagged", "user:*@h.example", "ada@", "tag:web"]}`, ""},
		{"the internet cannot approve", `"autoApprovers": {"exitNode": ["autogroup:internet"]}`, "cannot own or approve"},
		{"nor can anybody at all", `"autoApprovers": {"routes": {"10.0.0.0/8": ["autogroup:danger-all"]}}`, "cannot own or approve"},
		{"action", `"acls": [{"action": "deny", "src": ["*"], "dst": ["*:*"]}]`, `action="deny" is not supported`},
		{"port that is a word", accept(`"*"`, `"ct:ssh"`), `dst="ct:ssh": port range "ssh": invalid first integer`},
		{"range that ends in a word", accept(`"*"`, `"ct:22-ssh"`), `port range "22-ssh": invalid last integer`},
		{"port 0", accept(`"*"`, `"ct:0"`), `port range "0": first port must be >0, or use '*' for wildcard`},
		{"a CIDR in brackets", accept(`"*"`, `"[fd00::/48]:22"`), "is no IPv6 address"},
		{"ports of a protocol without", `"acls": [{"action": "accept", "proto": "gre", "src": ["*"], "dst": ["ct:22"]}]`, "its protocol has none"},
		{"tags that own each other", `"nodeAttrs": [], "autoApprovers": {"exitNode": ["tag:loop", "tag:db"]}`, ""},
		{"a tag with a _", `"tagOwners": {"tag:a_b": []}`, "holds a character that no node's tag can have"},
		{"a tag with a dot", `"tagOwners": {"tag:a.b": []}`, "holds a character that no node's tag can have"},
		{"a tag of other letters", `"tagOwners": {"tag:köln": []}`, "holds a character that no node's tag can have"},
		{"tests of the internet", `"tests": [{"src": "ada@h.example", "deny": ["autogroup:internet:80"]}]`, "autogroup:internet not valid as a test destination"},
		{"tests from the internet", `"tests": [{"src": "autogroup:internet", "deny": ["ct:80"]}]`, "is no source to test from"},
		{"tests from everywhere", `"tests": [{"src": "autogroup:danger-all", "deny": ["ct:80"]}]`, "is no source to test from"},
		{"tests of oneself", `"tests": [{"src": "ada@h.example", "accept": ["autogroup:self:80"]}]`, ""},
		{"tests by role and domain", `"tests": [{"src": "autogroup:admin", "accept": ["user:*@h.example:80"], "deny": null}]`, ""},
		{"tests that ask nothing", `"tests": [{"src": "ada@h.example", "accept": [], "deny": []}]`, "neither accept nor deny"},
		{"tests of a network's alias", `"tests": [{"src": "ada@h.example", "accept": ["vlan:80"]}]`, "is not one host"},
		{"tests of a CIDR of one", `"tests": [{"src": "ada@h.example", "accept": ["10.0.0.1/32:80"]}]`, "is not one host"},
		{"all names of protocols", `"acls": [` + eachProtocol(`{"action": "accept", "proto": %q, "src": ["*"], "dst": ["*:*"]},`) + `]`, ""},
	}.run(t)
}

func eachProtocol(format string) string {
	var b strings.Builder
	for _, name := range strings.Fields("igmp ipv4 ip-in-ip tcp egp igp udp gre esp ah sctp icmp 0 47 255") {
		fmt.Fprintf(&b, format, name)
	}
	return b.String()
}

// Who may be told apart from whom in a rule into autogroup:self.
func TestSelfSources(t *testing.T) {
	const refused = "autogroup:self cannot be reached from this source"
	grants := map[string]string{
		"ada@h.example": "", "ada@": "", "group:eng": "", "autogroup:member": "", "autogroup:members": "", "user:*@h.example": "", "*": refused,
		"tag:web": refused, "autogroup:tagged": refused, "10.0.0.1": refused, "ct": refused, "autogroup:danger-all": refused,
		"autogroup:shared": refused, "autogroup:admin": "", "autogroup:auditor": "",
	}
	var all dialect
	for src, want := range grants {
		all = append(all, dialect{{"grant from " + src, grant(`"ada@h.example", "`+src+`"`, `"autogroup:self"`), want}}...)
		if src == "*" {
			want = ""
		}
		all = append(all, dialect{{"acl from " + src, accept(`"`+src+`", "group:eng"`, `"tag:db:22", "autogroup:self:*"`), want}}...)
	}
	all.run(t)
}

func TestDomains(t *testing.T) {
	src := []byte(world(grant(`"user:*@h.example"`, `"ct"`)))
	for _, tt := range []struct {
		domains []string
		want    string
	}{
		{nil, ""}, {[]string{"other.example", "h.example"}, ""}, {[]string{"H.example"}, "does not own the domain"},
		{[]string{"other.example"}, "does not own the domain"}, {[]string{}, "does not own the domain"},
	} {
		_, _, err := policy.Options{Domains: tt.domains}.Parse("p", src)
		if (err == nil) != (tt.want == "") || (err != nil && !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("domains %q: %v, want %q", tt.domains, err, tt.want)
		}
	}
}

// kinds writes what each selector of the first rule's sources was taken for.
func TestKinds(t *testing.T) {
	for text, want := range map[string]policy.Kind{
		"*": policy.Any, "autogroup:member": policy.Member, "autogroup:members": policy.Member, "autogroup:tagged": policy.Tagged,
		"autogroup:danger-all": policy.World, "autogroup:shared": policy.Shared, "autogroup:admin": policy.Role, "ada@h.example": policy.User,
		"ada@": policy.User, "user:*@h.example": policy.Domain, "group:eng": policy.Group, "tag:web": policy.Tag, "ct": policy.Net, "fd00::/48": policy.Net,
	} {
		s := parse(t, world(grant(`" `+text+` "`, `"ct"`))).Rules()[0].Src[0]
		if s.Kind != want || s.Name != text || s.String() != text {
			t.Errorf("%s is taken for %+v, want kind %d", text, s, want)
		}
	}
	rules := parse(t, world(grant(`"autogroup:members"`, `"ct"`)+`, `+accept(`"autogroup:member"`, `"ct:1"`))).Rules()
	if rules[0].Src[0].Key() != rules[1].Src[0].Key() {
		t.Error("the old spelling of autogroup:member picks something else")
	}
}

// A caller can tell what is wrong from what belongs to the language and is not
// obeyed.
func TestUnsupported(t *testing.T) {
	for section, want := range map[string]bool{
		grant(`"svc:web"`, `"ct"`): true, grant(`"posture:x"`, `"ct"`): true,
		grant(`"tag:x"`, `"ct"`): false, `"frobid": []`: false,
	} {
		_, _, err := policy.Parse("p", []byte(world(section)))
		var all policy.Errors
		if !errors.As(err, &all) || all[len(all)-1].Unsupported != want {
			t.Errorf("%s: %v, unsupported should be %v", section, err, want)
		}
	}
}

// An ipset may hold the internet, and lose a part of it.
func TestIPSetOfTheInternet(t *testing.T) {
	p := parse(t, world(`"ipsets": {"ipset:web": ["autogroup:internet", "remove 8.8.8.0/24"]}`))
	set, _ := p.IPSet("ipset:web")
	for text, want := range map[string]bool{"1.1.1.1": true, "8.8.8.8": false, "8.8.9.1": true, "10.1.2.3": false, "100.64.0.1": false, "2001:db8::1": true, "fd00::1": false} {
		if got := slices.ContainsFunc(set, func(q netip.Prefix) bool { return q.Contains(netip.MustParseAddr(text)) }); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
}

// A file with virtual services loads; what leads to one leads nowhere.
func TestVirtualServicesLeadNowhere(t *testing.T) {
	p, warnings, err := policy.Parse("p", []byte(world(`"grants": [{"src": ["ada@h.example"], "dst": ["svc:web", "ct"], "ip": ["443"]}, {"src": ["ada@h.example"], "dst": ["svc:web"], "ip": ["443"]}]`)))
	if err != nil || len(warnings) < 2 || !strings.Contains(warnings[0].Why, "leads nowhere") {
		t.Fatalf("%v, %v", warnings, err)
	}
	if rules := p.Rules(); len(rules[0].Parts) != 1 || len(rules[0].Parts[0].Dst) != 1 || len(rules[1].Parts) != 0 {
		t.Errorf("%+v", rules)
	}
	p, warnings, err = policy.Parse("p", []byte(world(`"acls": [{"action": "accept", "src": ["ada@h.example"], "dst": ["svc:web:443", "ct:22"]}]`)))
	if err != nil || len(warnings) < 1 || !strings.Contains(warnings[0].Why, "leads nowhere") || len(p.Rules()[0].Parts) != 1 {
		t.Fatalf("of an acl: %v, %v", warnings, err)
	}
	for _, wrong := range []string{"svc:web", "svc:web:99999"} {
		if _, _, err := policy.Parse("p", []byte(world(accept(`"ada@h.example"`, `"`+wrong+`"`)))); err == nil {
			t.Errorf("%s is taken, whose ports are wrong", wrong)
		}
	}
}

// So does a file whose tests ask of one: they are kept, and nobody judges them. What is
// wrong with their ports is told as elsewhere.
func TestVirtualServicesInTests(t *testing.T) {
	p, warnings, err := policy.Parse("p", []byte(world(`"grants": [], "tests": [{"src": "ada@h.example", "accept": ["svc:web:443", "ct:22"], "deny": ["svc:db:5432"]}]`)))
	if err != nil || len(warnings) != 2 || warnings[0].Text != "svc:web:443" || !strings.Contains(warnings[1].Why, "is not judged: there are no virtual services here") {
		t.Fatalf("%v, %v", warnings, err)
	}
	tests := p.Tests()
	if accept, deny := tests[0].Accept, tests[0].Deny; len(accept) != 2 || !accept[0].Virtual || accept[0].Text != "svc:web:443" || accept[1].Virtual || len(deny) != 1 || !deny[0].Virtual {
		t.Errorf("%+v", tests)
	}
	dialect{
		{"without a port", expecting(`"svc:web"`), `accept="svc:web": has no port; write one number from 1 to 65535 behind it, as "svc:web:443"`},
		{"all ports", expecting(`"svc:web:*"`), `port "*" is not one port`},
		{"no such port", expecting(`"svc:web:0"`), `port "0" is not one port`},
		{"as a source", `"tests": [{"src": "svc:web", "deny": ["ct:22"]}]`, `src="svc:web": svc: names are not supported yet`},
		{"in an acl, without ports", accept(`"ada@h.example"`, `"svc:web"`), `dst="svc:web": has no ports; write svc:web:22, or svc:web:* for all`},
	}.run(t)
}

func expecting(targets string) string {
	return fmt.Sprintf(`"tests": [{"src": "ada@h.example", "accept": [%s]}]`, targets)
}

// Who forbids what there is not believes it shut: forbid is no key of the dialect, so no
// file comes along with it. One that is in force goes on.
func TestVirtualServicesCannotBeForbidden(t *testing.T) {
	const why = `dst="svc:web": there are no virtual services here, so this forbids nothing; name the machines behind it by a tag`
	for _, section := range []string{
		`"grants": [], "forbid": [{"src": ["*"], "dst": ["svc:web", "ct"]}]`,
		`"grants": [], "lockdown": {"red": {"by": "ada@h.example", "forbid": [{"src": ["*"], "dst": ["ct", "svc:web"]}]}}`,
	} {
		_, warnings, err := policy.Parse("p", []byte(world(section)))
		if err == nil || !strings.Contains(err.Error(), why) || strings.Contains(fmt.Sprint(warnings), "leads nowhere") {
			t.Errorf("%s: %v, %v", section, warnings, err)
		}
		if _, _, err := (policy.Options{InForce: true}).Parse("p", []byte(world(section))); err != nil {
			t.Errorf("%s: in force it is refused: %v", section, err)
		}
	}
}
