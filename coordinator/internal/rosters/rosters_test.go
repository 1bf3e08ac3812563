package rosters_test

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/acl/policy"
	"github.com/cordonmesh/cordon/coordinator/internal/rosters"
)

// ward is a policy with one roster.
func ward(t *testing.T) *policy.Policy {
	t.Helper()
	p, _, err := policy.Parse("p", []byte(`{"oncall": {"icu": {"ics": "oncall/icu.ics"}}, "grants": [{"src": ["ada@h.example"], "dst": ["*"], "ip": ["*"], "when": {"oncall": "icu"}}]}`))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

var noon = time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)

// shift is a roster with somebody on duty from eight to eight.
func shift(who string) string {
	lines := []string{"BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//h//EN", "BEGIN:VEVENT", "UID:1", "DTSTAMP:20261101T000000Z",
		"DTSTART:20261127T080000Z", "DTEND:20261127T200000Z", "ATTENDEE:mailto:" + who, "END:VEVENT", "END:VCALENDAR", ""}
	return strings.Join(lines, "\r\n")
}

func TestFileIsReadAgainWhenItChanges(t *testing.T) {
	dir, log := t.TempDir(), new(bytes.Buffer)
	path := filepath.Join(dir, "oncall", "icu.ics")
	write := func(text string, at time.Time) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
	}
	r, pol := rosters.New(dir, slog.New(slog.NewTextHandler(log, nil))), ward(t)
	on := func(want ...string) {
		t.Helper()
		duty := r.OnDuty(pol, noon)["icu"]
		if len(duty) != len(want) {
			t.Errorf("on duty are %v, want %v", duty, want)
		}
		for _, who := range want {
			if until := duty[who]; !until.Equal(noon.Add(8 * time.Hour)) {
				t.Errorf("%s is on duty until %s", who, until)
			}
		}
	}
	complaints := func(want int) {
		t.Helper()
		if got := strings.Count(log.String(), "level=WARN"); got != want {
			t.Errorf("%d complaints, want %d: %s", got, want, log)
		}
	}
	on() // there is no file yet
	complaints(1)
	on()
	complaints(1)
	write(shift("ada@h.example"), noon)
	on("ada@h.example")
	write(shift("ben@h.example"), noon) // as long, and written within the same tick
	on("ada@h.example")
	write(shift("ben@h.example"), noon.Add(time.Second))
	on("ben@h.example")
	write(shift("cy@h.example")[:150], noon.Add(2*time.Second)) // half copied
	on("ben@h.example")
	complaints(2)
	said := func(want string) {
		t.Helper()
		if lines := strings.Split(strings.TrimSpace(log.String()), "\n"); !strings.Contains(lines[len(lines)-1], want) {
			t.Errorf("the log ends in %q, want %q", lines[len(lines)-1], want)
		}
	}
	said("what was read before stays so")
	write(shift("cy@h.example"), noon.Add(2*time.Second))
	on("cy@h.example")
	said("in force")
	partly := strings.Replace(shift("dee@h.example"), "END:VCALENDAR", "BEGIN:VEVENT\r\nUID:2\r\nDTSTART:20261127T080000Z\r\nDTEND:20261127T200000Z\r\nEND:VEVENT\r\nEND:VCALENDAR", 1)
	write(partly, noon.Add(3*time.Second))
	on("dee@h.example") // of the other turn nobody is told who it is
	complaints(3)
	said("a roster is in force, but some of it puts nobody on duty")
	write(shift("cy@h.example"), noon.Add(4*time.Second))
	on("cy@h.example")
	write(shift("eve@h.example")+strings.Repeat(" ", 1<<20), noon.Add(5*time.Second)) // more than is read
	on("cy@h.example")
	said("more than 1048576 bytes")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	on("cy@h.example")
	complaints(5)
	if len(r.OnDuty(pol, noon.Add(9*time.Hour))["icu"]) > 0 {
		t.Error("a shift goes on after its end")
	}
}

// Who writes a policy, or may place a roster, reads nothing else of the machine.
func TestFileLiesInTheDirectory(t *testing.T) {
	dir, log := t.TempDir(), new(bytes.Buffer)
	outside := filepath.Join(t.TempDir(), "icu.ics")
	if err := os.WriteFile(outside, []byte(shift("eve@h.example")), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "oncall"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(dir, "oncall", "icu.ics")); err != nil {
		t.Fatal(err)
	}
	r := rosters.New(dir, slog.New(slog.NewTextHandler(log, nil)))
	if duty := r.OnDuty(ward(t), noon)["icu"]; len(duty) > 0 || !strings.Contains(log.String(), "escapes") {
		t.Errorf("on duty are %v: %s", duty, log)
	}
}

// A duty without an end in sight is told anew once a day, not at every look.
func TestLongDutyIsSteady(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "oncall"), 0o700); err != nil {
		t.Fatal(err)
	}
	always := strings.Replace(shift("ada@h.example"), "DTEND:20261127", "DTEND:20280101", 1)
	if err := os.WriteFile(filepath.Join(dir, "oncall", "icu.ics"), []byte(always), 0o600); err != nil {
		t.Fatal(err)
	}
	r := rosters.New(dir, slog.New(slog.DiscardHandler))
	first, later := r.OnDuty(ward(t), noon)["icu"]["ada@h.example"], r.OnDuty(ward(t), noon.Add(time.Hour))["icu"]["ada@h.example"]
	if first.IsZero() || !first.Equal(later) {
		t.Errorf("at noon she is on duty until %s, an hour later until %s", first, later)
	}
}
