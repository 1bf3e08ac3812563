package main

import (
	"testing"

	"github.com/cordonmesh/cordon/coordinator/admin"
)

// What nobody could judge does not count as passed.
func TestResultsText(t *testing.T) {
	got := resultsText([]*admin.TestResult{
		{Line: 3, Name: "ward", Src: "group:nurses", Wanted: "accept", Dst: "tag:ehr:443", Rule: "ward", Pass: true},
		{Line: 4, Src: "tag:ct", Wanted: "deny", Dst: "tag:ehr:22", Rule: "wide", Message: "tag:ct reaches it"},
		{Line: 5, Src: "tag:pump", Wanted: "deny", Dst: "tag:ehr:22", Pass: true, Message: "source tag:pump has no device to test with"},
	})
	want := `pass  line 3: ward: group:nurses accept tag:ehr:443 (ward)
FAIL  line 4: tag:ct deny tag:ehr:22 (wide)  tag:ct reaches it
none  line 5: tag:pump deny tag:ehr:22  source tag:pump has no device to test with
1 test passed, 1 failed, 1 not judged: no machine for them has joined yet
`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	got = resultsText([]*admin.TestResult{
		{Line: 3, Src: "tag:ct", Wanted: "accept", Dst: "svc:web:443", Pass: true, Message: "there are no virtual services here to test with"},
		{Line: 4, Src: "tag:pump", Wanted: "deny", Dst: "tag:ehr:22", Pass: true, Message: "source tag:pump has no device to test with"},
	})
	want = `none  line 3: tag:ct accept svc:web:443  there are no virtual services here to test with
none  line 4: tag:pump deny tag:ehr:22  source tag:pump has no device to test with
0 tests passed, 1 not judged: no machine for them has joined yet, 1 not judged: there are no virtual services here
`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got := resultsText(nil); got != "0 tests passed\n" {
		t.Error(got)
	}
}
