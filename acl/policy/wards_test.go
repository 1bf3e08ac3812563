package policy_test

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tailscale/hujson"

	"github.com/cordonmesh/cordon/acl/policy"
)

// ward adds to sections the definitions that they do not have, behind them: an
// error's column is the sections' own, and one more.
func ward(t testing.TB, sections string) string {
	t.Helper()
	root, err := hujson.Parse([]byte("{" + sections + "}"))
	if err != nil {
		t.Fatalf("%v in %s", err, sections)
	}
	var have []string
	for _, m := range root.Value.(*hujson.Object).Members {
		have = append(have, m.Name.Value.(hujson.Literal).String())
	}
	text := "{" + strings.TrimRight(sections, ",\n")
	for _, s := range [][2]string{
		{"groups", `{"group:nurses": ["ada@h.example"], "group:biomed": ["scim:Clinical Engineering"], "group:none": []}`},
		{"sites", `{"main": {"id": 1, "nets": ["10.20.0.0/16"]}, "north": {"id": 2, "nets": ["10.20.0.0/16", "10.30.0.0/16"]}}`},
		{"hosts", `{"ct": "10.20.30.11@main"}`},
		{"ipsets", `{"ipset:imaging": ["10.20.30.0/24@main"], "ipset:none": []}`},
		{"tagOwners", `{"tag:gw": [], "tag:ehr": [], "tag:pump": [], "tag:cart": []}`},
		{"postures", `{"posture:managed": ["custom:mdm == true"], "posture:sick": ["custom:sick == true"]}`},
		{"schedules", `{"office": {"tz": "America/Chicago", "weekly": ["Mon-Fri 07:00-19:00"]}}`},
		{"oncall", `{"icu": {"ics": "oncall/icu.ics"}}`},
		{"approvals", `{"approve:biomed": {"by": ["group:biomed"], "maxDuration": "8h", "onExpiry": "drain 15m"}}`},
		{"segments", `{"seg:ehr": {"members": ["tag:ehr"], "owner": "group:biomed", "requires": {"mfa": {"within": "8h", "amr": ["hwk", "otp"]}, "risk": "<70", "session": "tap", "idle": "10m"}}}`},
		{"grants", `[]`},
	} {
		if !slices.Contains(have, s[0]) {
			text += ", \"" + s[0] + "\": " + s[1]
		}
	}
	return text + "}"
}

// reading is when the wards' policies are read.
func reading() policy.Options {
	return policy.Options{Now: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)}
}

func parseWard(t *testing.T, sections string) *policy.Policy {
	t.Helper()
	p, warnings, err := reading().Parse("p", []byte(ward(t, sections)))
	if err != nil || len(warnings) > 0 {
		t.Fatalf("%s\n%v\n%v", sections, warnings, err)
	}
	return p
}

// TestWardErrors reads testdata/ward_errors.txt: sections, a line of dashes, and
// every error that they must give. CORDON_GOLDEN=1 writes the file anew.
func TestWardErrors(t *testing.T) {
	golden(t, "testdata/ward_errors.txt", func(src string) string {
		_, _, err := reading().Parse("p", []byte(ward(t, src)))
		var all policy.Errors
		if !errors.As(err, &all) {
			return "no error"
		}
		return err.Error()
	})
}

// TestUsualMistakes reads what admins write who know other files: each error has the
// place, and says what to write instead.
func TestUsualMistakes(t *testing.T) {
	golden(t, "testdata/usual_mistakes.txt", func(src string) string {
		_, _, err := reading().Parse("p", []byte(src))
		var all policy.Errors
		if !errors.As(err, &all) {
			return "no error"
		}
		return err.Error()
	})
}

// What a value of the wrong kind says is told apart, so that all of it can be marked; a
// list is not, for it may have many lines.
func TestWhatIsOfTheWrongKind(t *testing.T) {
	for src, want := range map[string]string{
		`{"grants": "none"}`: "none", `{"grants": 7}`: "7", `{"grants": {}}`: "", `{"hosts": {"a": ["10.0.0.1"]}}`: "", `{"hosts": {"a": true}}`: "true",
		`{"segments": {"seg:a": {"members": ["10.0.0.1"], "owner": "a@h", "requires": "mfa"}}}`: "mfa",
	} {
		_, _, err := policy.Parse("p", []byte(src))
		var all policy.Errors
		if !errors.As(err, &all) || len(all) != 1 || all[0].Text != want || !strings.Contains(all[0].Why, " must be a") {
			t.Errorf("%s: %q", src, err)
		}
	}
}

func TestWardWarnings(t *testing.T) {
	golden(t, "testdata/ward_warnings.txt", func(src string) string {
		_, warnings, err := reading().Parse("p", []byte(ward(t, src)))
		if err != nil {
			return "error: " + err.Error()
		}
		var lines []string
		for _, w := range warnings {
			lines = append(lines, w.String())
		}
		return strings.Join(lines, "\n")
	})
}

func seeds(f *testing.F) {
	for _, file := range []string{"testdata/ward_errors.txt", "testdata/ward_warnings.txt"} {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		for _, one := range strings.Split(string(data), "\n====\n") {
			src, _, _ := strings.Cut(one, "\n----")
			f.Add([]byte(ward(f, src)))
		}
	}
	whole, err := os.ReadFile("testdata/hospital.hujson")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
}
