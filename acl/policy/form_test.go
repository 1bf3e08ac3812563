package policy_test

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/cordonmesh/cordon/acl/policy"
)

// refusal reads a grant with a condition, and gives what is said of it.
func refusal(t *testing.T, when string) policy.Errors {
	t.Helper()
	_, _, err := reading().Parse("p", []byte(ward(t, `"grants": [{"src": ["group:nurses"], "dst": ["ct"], "ip": ["tcp:1"], "when": `+when+`}]`)))
	var all policy.Errors
	errors.As(err, &all)
	return all
}

// Whatever stands in place of a condition, one error says so where it stands, and what it
// says to write instead is accepted.
func TestConditionsOfTheWrongKind(t *testing.T) {
	const hollow = "take the key out"
	kinds := []string{`70`, `0`, `-1`, `1.5`, `true`, `false`, `{"a": 1}`, `[70]`, `[true, {}]`, `[[]]`}
	empty := []string{`null`, `""`, `" "`, `[]`, `{}`}
	for _, c := range []struct {
		when, fits, fix string               // % is the place
		also            []string             // of other kinds
		other           map[string][2]string // value: what fits instead of it, and the fix
	}{
		{`{"mfa": %}`, `{"within": "12h"}`, `write such as {"within": "12h"}; its keys are acr, amr and within`, []string{`"12h"`, `["hwk"]`}, map[string][2]string{`{"a": 1}`: {`{"acr": "1"}`, "find another way"}}},
		{`{"posture": %}`, `["posture:managed"]`, `define it under "postures", and write its name here`, nil, nil},
		{`{"schedule": %}`, `"office"`, `define it under "schedules", and write its name here`, nil, map[string][2]string{`["office"]`: {`"office"`, `write "office", without brackets`}, `["office", "x"]`: {`"office"`, "write one of them"}}},
		{`{"oncall": %}`, `"icu"`, `define it under "oncall", and write its name here`, nil, map[string][2]string{`["icu"]`: {`"icu"`, `write "icu", without brackets`}}},
		{`{"risk": %}`, `"<70"`, `write such as "<70"`, nil, map[string][2]string{`70`: {`"<70"`, `write "<70"`}, `35`: {`"<35"`, `write "<35"`}, `["<9"]`: {`"<9"`, `write "<9", without brackets`}}},
		{`{"session": %}`, `"login"`, `write "login"`, nil, map[string][2]string{`["tap"]`: {`"tap"`, `write "tap", without brackets`}}},
		{`{"idle": %}`, `"10m"`, `write such as "10m"`, nil, map[string][2]string{`["5m"]`: {`"5m"`, `write "5m", without brackets`}}},
		{`{"mfa": {"within": %}}`, `"12h"`, `write such as "12h"`, nil, nil},
		{`{"mfa": {"amr": %}}`, `["hwk"]`, `write such as ["hwk"]`, nil, map[string][2]string{`"otp"`: {`["otp"]`, `write ["otp"]`}}},
		{`{"mfa": {"acr": %}}`, `"phr"`, `write a text in quotes, as "phr"`, nil, map[string][2]string{
			`70`: {`"70"`, `write "70", in quotes`}, `0`: {`"0"`, `write "0", in quotes`}, `-1`: {`"-1"`, `write "-1", in quotes`}, `1.5`: {`"1.5"`, `write "1.5", in quotes`}}},
	} {
		wrong := make(map[string][2]string)
		for _, v := range append(kinds, c.also...) {
			wrong[v] = [2]string{c.fits, c.fix}
		}
		for _, v := range empty {
			wrong[v] = [2]string{c.fits, hollow}
		}
		for v, one := range c.other {
			wrong[v] = one
		}
		for v, one := range wrong {
			when := strings.Replace(c.when, "%", v, 1)
			told := refusal(t, when)
			column := strings.Index(ward(t, `"grants": [{"src": ["group:nurses"], "dst": ["ct"], "ip": ["tcp:1"], "when": `+when+`}]`), when) + strings.Index(c.when, "%") + 1
			if one[1] == "find another way" {
				column++ // it stands at the key that nobody knows
			}
			if len(told) != 1 || !strings.Contains(told[0].Fix, one[1]) || told[0].Pos.Column != column {
				t.Errorf("%s: %v, want one error in column %d: %s", when, told, column, one[1])
			}
			if after := refusal(t, strings.Replace(c.when, "%", one[0], 1)); len(after) > 0 { // what is empty may be left out, too
				t.Errorf("%s: what it says to write is refused too: %v", when, after)
			}
		}
	}
}

// What narrows something is never empty: a template that had no value for it would open
// more than its author believes. A policy that is in force goes on as it did.
func TestWhatNarrowsIsNeverEmpty(t *testing.T) {
	grant := func(more string) string {
		return `"grants": [{"src": ["group:nurses"], "dst": ["ct"], "ip": ["tcp:1"], ` + more + `}]`
	}
	asset := func(more string) string {
		return `"assets": [{"tag": "tag:scope", "behind": "tag:gw", ` + more + `}]`
	}
	glass := func(more string) string {
		return `"breakGlass": [{"id": "g", "src": ["group:nurses"], "dst": ["ct"], "ip": ["*"], "alert": "group:biomed", ` + more + `}]`
	}
	approval := func(more string) string {
		return `"approvals": {"approve:biomed": {"by": "group:biomed", ` + more + `}}`
	}
	segment := func(more string) string {
		return `"segments": {"seg:a": {"members": ["tag:ehr"], "owner": "group:biomed", ` + more + `}}`
	}
	const without = "take the key out"
	for src, fix := range map[string]string{ // what to write instead, or that the key may be left out
		grant(`"id": "g", "when": %`): without, grant(`"id": "g", "limit": %`): without, segment(`"requires": %`): without,
		`"forbid": [{"src": ["*"], "dst": ["ct"], "when": %}]`: without,
		grant(`"srcDevice": %`):                                without, grant(`"through": %`): without, grant(`"approval": %`): without, grant(`"log": "record", "recordFailure": %`): without,
		grant(`"limit": {"flows": "9/1m", "onExceed": "cut", "bytes": %}`): without, grant(`"limit": {"bytes": "9MB/1m", "onExceed": "cut", "flows": %}`): without,
		asset(`"match": {"vlan": 9}, "bind": %`): `"mac"`, asset(`"match": {"vlan": 9}, "bind": "mac", "isolate": %`): without, asset(`"bind": "mac", "match": {"vlan": 9, "oui": %}`): without,
		asset(`"bind": "mac", "match": {"vlan": 9, "dhcp": %}`): without, asset(`"bind": "mac", "match": {"vlan": 9, "ipset": %}`): without, asset(`"bind": "mac", "match": {"oui": "GE", "vlan": %}`): without,
		glass(`"maxDuration": "1h", "srcDevice": %`): without, glass(`"maxDuration": %`): `"60m"`, glass(`"maxDuration": "1h", "cooldown": %`): without, glass(`"maxDuration": "1h", "reason": %`): without,
		approval(`"maxDuration": %`): `"4h"`, approval(`"maxDuration": "8h", "ticket": %`): without, approval(`"maxDuration": "8h", "count": %`): without,
		segment(`"impact": %`): without, segment(`"offline": {"hold": %}`): `"30d"`, segment(`"offline": {"lapse": %}`): `"1h"`,
		`"lockdown": {"red": {"by": "group:biomed", "forbid": [{"src": ["*"], "dst": ["ct"]}], "count": %}}`: without,
	} {
		mended := strings.Replace(src, "%", fix, 1)
		if fix == without {
			mended = regexp.MustCompile(`, "\w+": %`).ReplaceAllString(src, "")
		}
		if _, _, err := reading().Parse("p", []byte(ward(t, mended))); err != nil {
			t.Errorf("%s: what it says to write is refused: %v", mended, err)
		}
		for _, empty := range []string{`null`, `""`, `[]`, `{}`} {
			text := strings.Replace(src, "%", empty, 1)
			_, _, err := reading().Parse("p", []byte(ward(t, text)))
			var told policy.Errors
			errors.As(err, &told)
			at, found := fmt.Sprintf("p:1:%d: ", strings.Index(src, "%")+2), 0
			for _, e := range told {
				if strings.HasPrefix(e.Error(), at) && strings.Contains(e.Why, "is empty") && strings.Contains(e.Fix, fix) {
					found++
				}
			}
			if found != 1 {
				t.Errorf("%s: %v, want that it is empty at %s, and %s", text, told, at, fix)
			}
			inForce := reading()
			inForce.InForce = true
			if _, _, err := inForce.Parse("p", []byte(ward(t, text))); empty == "null" && err != nil {
				t.Errorf("%s: in force: %v", text, err)
			}
		}
	}
}

// An object, or a flag, that is to narrow something is no null: it would ask for nothing.
func TestWhatNarrowsIsNotNull(t *testing.T) {
	for _, src := range []string{
		`"segments": {"seg:a": {"members": ["tag:ehr"], "owner": "group:biomed", "offline": null}}`,
		`"approvals": {"approve:biomed": {"by": "group:biomed", "maxDuration": "8h", "notRequester": null}}`,
		`"breakGlass": [{"id": "g", "src": ["group:nurses"], "dst": ["ct"], "ip": ["*"], "alert": "group:biomed", "maxDuration": "1h", "review": null}]`,
	} {
		text := []byte(ward(t, src))
		_, _, err := reading().Parse("p", text)
		if at := fmt.Sprintf("p:1:%d: ", strings.Index(src, "null")+2); err == nil || !strings.HasPrefix(err.Error(), at) || !strings.Contains(err.Error(), "is empty, and so would narrow nothing") {
			t.Errorf("%s: %v, want that it is empty at %s", src, err, at)
		}
		inForce := reading()
		inForce.InForce = true
		if _, _, err := inForce.Parse("p", text); err != nil {
			t.Errorf("%s: in force: %v", src, err)
		}
	}
}
