package scim_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/coordinator/internal/registry"
)

// unhurried gives a clock by which requests come slowly enough to be served.
func unhurried() func() time.Time {
	now := time.Now()
	return func() time.Time { now = now.Add(20 * time.Millisecond); return now }
}

// Whatever the operation of a patch is, it is answered, nobody but its target
// changes, and what it says of active is what becomes of the person.
func FuzzPatch(f *testing.F) {
	f.Add(`{"op":"Replace","path":"active","value":"False"}`)
	f.Add(`{"op":"replace","value":{"active":false,"emails":[{"value":"a@b","primary":"true"}]}}`)
	f.Add(`{"op":"add","path":"emails[type eq \"work\"].value","value":"x@y.example"},{"op":"remove","path":"externalId"}`)
	f.Add(`{"op":"remove","path":"members[value eq \"x\"]"}`)
	f.Add(`{"op":"replace","path":"name.formatted","value":null}`)
	d := beginAt(f, unhurried())
	ana, ben := d.user("ana"), d.user("ben")
	group := d.wants(201, "POST", "/Groups", `{"schemas":[`+groupURN+`],"displayName":"Nurses"}`)["id"].(string)
	f.Fuzz(func(t *testing.T, op string) {
		d.t = t
		body := fmt.Sprintf(`{"schemas":[%s],"Operations":[%s]}`, patchURN, op)
		was := d.person("ben")
		status, m := d.send("PATCH", "/Users/"+ana, body)
		if u, _ := d.registry.Snapshot().Provisioned(ana); status == 200 && m["active"] != !u.ShutOut() || status == 500 {
			t.Errorf("%d %v, and the person is %+v", status, m, u.Provision)
		}
		if d.person("ben") != was {
			t.Errorf("another person changed")
		}
		if status, m := d.send("PATCH", "/Groups/"+group, body); status == 500 {
			t.Errorf("%v", m)
		}
		if u := d.person("ben"); u.Provision.ID != ben || u.ShutOut() {
			t.Errorf("%+v", u)
		}
		if _, err := registry.EncodeState(d.registry.Snapshot()); err != nil {
			t.Error(err)
		}
	})
}

// Whatever a filter is, it is answered by at most the one that it names.
func FuzzFilter(f *testing.F) {
	f.Add(`userName eq "ana@clinic.example"`)
	f.Add(`externalId eq "\u0041"`)
	f.Add(`userName eq "ana@clinic.example" and (externalId eq "sub-ana")`)
	f.Add(`emails[type eq "work" and value co "@"].value pr`)
	f.Add(`not (userName pr) or ((id eq true))`)
	d := beginAt(f, unhurried())
	d.user("ana")
	d.user("ben")
	f.Fuzz(func(t *testing.T, filter string) {
		d.t = t
		if strings.TrimSpace(filter) == "" { // as if there were none
			return
		}
		status, m := d.send("GET", "/Users?filter="+url.QueryEscape(filter), "")
		if list, _ := m["Resources"].([]any); status == 500 || len(list) > 1 && len(filter) > 3 {
			t.Errorf("%d %v", status, m)
		}
	})
}
