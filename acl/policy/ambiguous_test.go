package policy_test

import (
	"fmt"
	"reflect"
	"testing"

	"github.com/cordonmesh/cordon/acl/policy"
)

func opening(ip string) string {
	return fmt.Sprintf(`"grants": [{"src": ["*"], "dst": ["ct"], "ip": [%s]}]`, ip)
}

func speaking(proto string) string {
	return fmt.Sprintf(`"acls": [{"action": "accept", "proto": %s, "src": ["*"], "dst": ["ct:*"]}]`, proto)
}

// What could be read in two ways is read in the one that opens less, or refused in words
// that say what to write. A section in capitals is joined to that of the world, and its
// mistakes told besides.
func TestTwoReadings(t *testing.T) {
	const zero, octal = "a port has no leading zero", "begins with 0, which some take for octal"
	const brackets, capitals = "has brackets, which stand around an IPv6 address with ports alone", "has capitals before its colon, where letter case counts"
	dialect{
		{"ports that end in a comma", opening(`"80,"`), `port range "": invalid first integer`},
		{"a protocol behind a comma", opening(`"80,tcp:443"`), `unknown protocol "80,tcp"`},
		{"a port behind ports", opening(`"tcp:80:81"`), `port range "80:81": invalid first integer`},
		{"a protocol without ports", opening(`"tcp:"`), `port range "": invalid first integer`},
		{"a leading zero in a port", opening(`"tcp:080"`), `port range "080": invalid first integer; write 80: ` + zero},
		{"at the end of a range", opening(`"80-0443"`), `port range "80-0443": invalid last integer; write 443: ` + zero},
		{"in an acl", accept(`"*"`, `"ct:080"`), "write 80: " + zero},
		{"two zeros", opening(`"00"`), `port range "00": invalid first integer; write 22, 80-443 or *`},
		{"port 0", opening(`"0"`), `port range "0": first port must be >0`},
		{"from port 0", opening(`"tcp:0-65535"`), `port range "0-65535": first port must be >0`},
		{"from port 0, in an acl", accept(`"*"`, `"ct:0-80"`), `port range "0-80": first port must be >0`},
		{"a range backwards", opening(`"443-80"`), `port range "443-80" runs backwards`},
		{"a range backwards, in an acl", accept(`"*"`, `"ct:443-80"`), `port range "443-80" runs backwards`},
		{"beyond the last port", opening(`"65536"`), `port range "65536": invalid first integer`},
		{"a sign", opening(`"+80"`), `port range "+80": invalid first integer`},
		{"a range without an end", opening(`"80-"`), `port range "80-": invalid last integer`},
		{"digits of other scripts", opening(`"٨٠"`), "invalid first integer"},
		{"a protocol with a leading zero", opening(`"06:80"`), `unknown protocol "06"`},
		{"likewise in an acl", speaking(`"06"`), `unknown protocol "06"`},
		{"no protocol has that number", speaking(`"256"`), `unknown protocol "256"`},
		{"two protocols", speaking(`"tcp,udp"`), `unknown protocol "tcp,udp"`},
		{"a protocol that is a number", speaking(`6`), `"proto" must be a string`},

		{"a leading zero in an address", grant(`"10.0.0.01"`, `"ct"`), `src="10.0.0.01": is no address: one of its numbers ` + octal},
		{"at its begin", grant(`"*"`, `"010.0.0.1"`), octal},
		{"in an acl's destination", accept(`"*"`, `"10.0.0.01:22"`), octal},
		{"in an ipset", `"ipsets": {"ipset:x": ["10.0.0.01"]}`, octal},
		{"in a host", `"Hosts": {"x9": "10.0.0.01"}`, octal},
		{"in a CIDR", grant(`"10.0.0.0/08"`, `"ct"`), "is no CIDR"},
		{"three numbers", grant(`"10.1.1"`, `"ct"`), "is no address: one of IPv4 is four numbers"},
		{"a number too great", grant(`"10.0.0.256"`, `"ct"`), "is no address: one of IPv4 is four numbers"},
		{"bits behind the length", grant(`"10.0.0.1/8"`, `"ct"`), "has bits behind its prefix length; write 10.0.0.0/8"},
		{"a range in a rule", grant(`"10.0.0.1-10.0.0.9"`, `"ct"`), "is a range of addresses, which stands in an ipset alone"},
		{"a range backwards in an ipset", `"ipsets": {"ipset:x": ["10.0.0.9-10.0.0.1"]}`, "is no range of addresses; write the lower one first"},
		{"IPv4 mapped into IPv6", grant(`"::ffff:10.0.0.1"`, `"ct"`), "is an IPv4 address mapped into IPv6; write the IPv4 address itself"},
		{"a network mapped likewise", grant(`"*"`, `"::ffff:10.0.0.0/104"`), "is an IPv4 address mapped into IPv6"},
		{"in brackets", accept(`"*"`, `"[::ffff:10.0.0.1]:22"`), "is an IPv4 address mapped into IPv6"},
		{"brackets around a grant's destination", grant(`"*"`, `"[fd00::1]"`), brackets},
		{"brackets around a source", accept(`"[fd00::1]"`, `"ct:22"`), brackets},
		{"brackets around IPv4", accept(`"*"`, `"[10.0.0.1]:22"`), "has brackets around what is no IPv6 address"},
		{"brackets around a host", accept(`"*"`, `"[ct]:22"`), "has brackets around what is no IPv6 address"},
		{"a zone", accept(`"*"`, `"fd00::1%eth0:22"`), "has a zone"},

		{"Tag:", grant(`"Tag:web"`, `"ct"`), capitals + `; write "tag:web"`},
		{"GROUP:", accept(`"*"`, `"GROUP:eng:22"`), capitals + `; write "group:eng"`},
		{"Autogroup:", grant(`"Autogroup:member"`, `"ct"`), capitals},
		{"a new tag with Tag:", `"TagOwners": {"Tag:x9": []}`, capitals + `; write "tag:x9"`},
		{"a new group with Group:", `"Groups": {"Group:x9": []}`, capitals + `; write "group:x9"`},
		{"a tag in two spellings", `"TagOwners": {"tag:x9": [], "tag:X9": []}`, `stands twice in "tagOwners", in another letter case, first in line`},
		{"a group in capitals", grant(`"group:ENG"`, `"ct"`), `did you mean "group:eng"?`},
		{"an autogroup in capitals", grant(`"autogroup:Member"`, `"ct"`), `did you mean "autogroup:member"?`},
		{"a host in capitals", grant(`"CT"`, `"ct"`), `did you mean "ct"?`},

		{"a dot behind a host", grant(`"ct."`, `"ct"`), "ends in a dot"},
		{"a dot behind an address", grant(`"10.0.0.1."`, `"ct"`), "ends in a dot"},
		{"a dot behind a login", grant(`"ada@h.example."`, `"ct"`), "ends in a dot, and no login does"},
		{"a dot behind a domain", grant(`"user:*@h.example."`, `"ct"`), `the domain "h.example." ends in a dot`},
		{"a dot behind a new host", `"Hosts": {"x9.": "10.0.0.9"}`, "ends in a dot: beside the name without it"},
		{"a host that looks like an address", `"Hosts": {"10.0.0.01": "10.0.0.9"}`, "is no name for a host: it looks like an address"},

		{"an empty source", grant(`""`, `"ct"`), "src: is empty"},
		{"a source of blanks", grant(`"  "`, `"ct"`), "src: is empty"},
		{"an empty destination", grant(`"*"`, `""`), "dst: is empty"},
		{"an empty destination with ports", accept(`"*"`, `":22"`), "is empty"},
		{"an empty service", opening(`"22", ""`), `ip: port range "": invalid first integer`},
		{"an empty via", `"grants": [{"src": ["*"], "dst": ["ct"], "ip": ["22"], "via": [""]}]`, "via can only be a tag"},
		{"an empty member", `"Groups": {"group:x": [""]}`, "is no user"},
		{"an empty owner", `"TagOwners": {"tag:x": [""]}`, "is empty"},
		{"an empty entry of an ipset", `"ipsets": {"ipset:x": [""]}`, "is no address"},
		{"an empty approver", `"autoApprovers": {"exitNode": [""]}`, "is empty"},
		{"an empty login of ssh", `"ssh": [{"action": "accept", "src": ["ada@h.example"], "dst": ["tag:web"], "users": [""]}]`, `user "" is not valid`},
		{"an empty member of a segment", `"segments": {"seg:x": {"members": [""], "owner": "group:eng"}}`, "members: is empty"},

		{"a key twice", `"grants": [{"src": ["*"], "src": ["ct"], "dst": ["ct"], "ip": ["22"]}]`, `p:4:27: "src": stands twice in this object, first in line 4, column 13`},
		{"a key twice, spelled by an escape", `"grants": [{"src": ["*"], "s\u0072c": ["ct"], "dst": ["ct"], "ip": ["22"]}]`, `p:4:27: "src": stands twice in this object, first in line 4, column 13`},
		{"a key twice, with blanks", `"grants": [{"src": ["*"], " src": ["ct"], "dst": ["ct"], "ip": ["22"]}]`, `first in line 4, column 13`},
		{"a key twice, in another case", `"grants": [{"src": ["*"], "Src": ["ct"], "dst": ["ct"], "ip": ["22"]}]`, `p:4:27: "Src": stands twice in a grant, in another letter case, first in line 4, column 13`},
		{"a group twice", `"Groups": {"group:x": [], "group:x": ["ada@h.example"]}`, `p:4:27: "group:x": stands twice in this object, first in line 4, column 12`},
		{"a key twice in a capability", `"grants": [{"src": ["*"], "dst": ["ct"], "app": {"h.example/a": [{"a": 1, "a": 2}]}}]`, `"a": stands twice in this object`},
	}.run(t)
}

// What is written in two ways and means one thing opens the same.
func TestOneMeaning(t *testing.T) {
	for _, tt := range [][2]string{
		{opening(`"tcp:80,443"`), opening(`"tcp:80", "tcp:443"`)}, {opening(`"80,443"`), opening(`"80", "443"`)},
		{opening(`"tcp:80, 443"`), opening(`"tcp:80", "tcp:443"`)}, {opening(`"80-80"`), opening(`"80"`)},
		{opening(`"TCP:80"`), opening(`"tcp:80"`)}, {opening(`"6:80"`), opening(`"tcp:80"`)}, {opening(`"*:80"`), opening(`"80"`)}, {opening(`"*:*"`), opening(`"*"`)},
		{opening(`"58:*"`), opening(`"icmpv6:*"`)}, {opening(`"47"`), opening(`"47-47"`)},
		{speaking(`"TCP"`), speaking(`"6"`)}, {speaking(`" tcp "`), speaking(`"tcp"`)}, {speaking(`""`), speaking(`null`)},
		{accept(`"*"`, `"ct:22, 80"`), accept(`"*"`, `"ct:22,80"`)}, {accept(`"*"`, `"[fd00::1]:22"`), accept(`"*"`, `"fd00::1:22"`)},
		{accept(`"*"`, `"[fd00::]/48:22"`), accept(`"*"`, `"fd00::/48:22"`)}, {accept(`"*"`, `"[FD00:0::1]:22"`), accept(`"*"`, `"fd00::1:22"`)},
		{grant(`"FD00:0::1"`, `" ct "`), grant(`"fd00::1"`, `"ct"`)}, {grant(`"10.0.0.1/32"`, `"ct"`), grant(`"10.0.0.1"`, `"ct"`)},
	} {
		meaning := func(section string) (all []any) {
			r := parse(t, world(section)).Rules()[0]
			for _, s := range r.Src {
				all = append(all, s.Key())
			}
			for _, p := range r.Parts {
				for _, s := range p.Dst {
					all = append(all, s.Key())
				}
				all = append(all, p.Open)
			}
			return all
		}
		if one, other := meaning(tt[0]), meaning(tt[1]); !reflect.DeepEqual(one, other) {
			t.Errorf("%s means %v\n%s means %v", tt[0], one, tt[1], other)
		}
	}
}

// A list of ports behind a protocol is that protocol's, all of it: read as two services
// it would open the last port of UDP too.
func TestListsOfPortsAreTheirProtocols(t *testing.T) {
	for _, part := range parse(t, world(opening(`"tcp:80,443"`))).Rules()[0].Parts {
		if got, want := fmt.Sprint(part.Open), "[{6 80 80} {6 443 443}]"; got != want {
			t.Errorf("it opens %s, want %s", got, want)
		}
	}
}

// What was once read and is refused now loads where it is in force, and means the same.
func TestTwoReadingsInForce(t *testing.T) {
	for _, text := range []string{
		`{"hosts": {"x9.": "10.0.0.9"}, "grants": [{"src": ["x9."], "dst": ["x9."], "ip": ["22"]}]}`,
		`{"hosts": {"10.0.01": "10.0.0.9"}, "grants": [{"src": ["10.0.01"], "dst": ["10.0.01"], "ip": ["22"]}]}`,
		`{"grants": [{"src": ["ada@h.example."], "dst": ["10.0.0.9"], "ip": ["22"]}]}`, // nobody, as it was
	} {
		if _, _, err := policy.Parse("p", []byte(text)); err == nil {
			t.Errorf("%s is not refused", text)
		}
		p, warnings, err := policy.Options{InForce: true}.Parse("p", []byte(text))
		if err != nil || len(p.Rules()) != 1 || len(p.Rules()[0].Src) != 1 || len(warnings) == 0 || !warnings[0].Refused {
			t.Errorf("%s: %v, %v, %v", text, p, warnings, err)
		}
	}
}
