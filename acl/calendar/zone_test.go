package calendar_test

import (
	"strings"
	"testing"

	"github.com/cordonmesh/cordon/acl/calendar"
)

// Each name that may be proposed is one that is taken.
func TestZonesAreTaken(t *testing.T) {
	zones := calendar.Zones()
	if len(zones) < 400 {
		t.Fatalf("%d zones", len(zones))
	}
	for _, zone := range zones {
		if _, err := calendar.ParseWeekly(zone, []string{"daily"}); err != nil || !strings.Contains(zone, "/") || strings.HasPrefix(zone, "Etc/") {
			t.Errorf("%s: %v", zone, err)
		}
	}
}

// How often a week it opens, however that is written.
func TestTimes(t *testing.T) {
	for spans, want := range map[string]int{"daily": 1, "Mon-Fri 08:00-12:00,13:00-17:00": 10, "Mon 07:00-12:00|Mon 12:00-19:00": 1, "Tue,Wed 22:00-06:00": 2} {
		if got := mustWeekly(t, "UTC", strings.Split(spans, "|")...).Times(); got != want {
			t.Errorf("%s: %d times, want %d", spans, got, want)
		}
	}
}
