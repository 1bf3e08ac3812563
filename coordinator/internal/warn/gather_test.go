package warn_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cordonmesh/cordon/coordinator/internal/warn"
)

// fleet is machines that were made on one day, and lapse a second after each other.
func fleet(n int, until time.Time) (all []warn.Lapse) {
	for i := range n {
		all = append(all, warn.Lapse{Kind: "machine", Name: fmt.Sprintf("ward-%03d of anna", i), Since: until.Add(-365 * day),
			Until: until.Add(time.Duration(i) * time.Second), Advice: "sign in there"})
	}
	return all
}

// All of a fleet that is due at one threshold is one message, with how many, the first
// few and how to list all; what is alone, or of another kind or threshold, reads as
// it does by itself.
func TestWhatIsDueTogetherIsOneMessage(t *testing.T) {
	key := lapse("ca", 90*day, 6*day)
	all := append(fleet(400, noon.Add(6*day)), key)
	all = append(all, warn.Lapse{Kind: "machine", Name: "late of ben", Since: noon.Add(-90 * day), Until: noon.Add(20 * day), Advice: "sign in there"})
	for _, revision := range []string{"7", "8"} {
		all = append(all, warn.Lapse{Kind: "policy", Name: "of revision " + revision, Since: noon, Advice: "mend it"})
	}
	due, told := warn.Weigh(all, warn.Told{}, noon)
	if len(told) != len(all) {
		t.Errorf("%d of %d are told of", len(told), len(all))
	}
	var texts []string
	for _, w := range warn.Gather(due) {
		texts = append(texts, w.Text())
	}
	want := []string{
		"2 policies (of revision 7, of revision 8): mend it; `cordonctl warnings` lists all",
		"key ca ends in 6 days, at 2026-11-29 12:00 UTC: renew it",
		"400 machines (ward-000 of anna, ward-001 of anna, ward-002 of anna, ward-003 of anna, ward-004 of anna, and 395 more) end within 7 days, the first at 2026-11-29 12:00 UTC: sign in there; `cordonctl warnings` lists all",
		"machine late of ben ends in 20 days, at 2026-12-13 12:00 UTC: sign in there",
	}
	if got := strings.Join(texts, "\n"); got != strings.Join(want, "\n") {
		t.Errorf("told:\n%s\nwant:\n%s", got, strings.Join(want, "\n"))
	}
	due, _ = warn.Weigh(fleet(2, noon), warn.Told{}, noon.Add(time.Hour))
	if all := warn.Gather(due); len(all) != 1 || all[0].Text() != "2 machines (ward-000 of anna, ward-001 of anna) have ended, the first at 2026-11-23 12:00 UTC: sign in there; `cordonctl warnings` lists all" {
		t.Errorf("ended: %v", all)
	}
}

// Long names that others chose leave room for how many more there are.
func TestGatheredNamesAreCut_A12(t *testing.T) {
	all := fleet(9, noon.Add(day-time.Minute))
	for i := range all {
		all[i].Name = strings.Repeat("x\n", 500) + all[i].Name
	}
	due, _ := warn.Weigh(all, warn.Told{}, noon)
	text := warn.Gather(due)[0].Text()
	if len(text) > 1000 || strings.Contains(text, "\n") || !strings.Contains(text, "and 4 more") || !strings.Contains(text, "cordonctl warnings") {
		t.Errorf("%.1000q", text)
	}
}

// A sink hears once per threshold of a fleet, and of who joins it later by itself.
func TestFleetIsOneMessageToASink(t *testing.T) {
	file := filepath.Join(t.TempDir(), "warned.json")
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		lapses := func(context.Context) []warn.Lapse {
			all := fleet(400, begun.Add(8*day+time.Minute))
			if time.Since(begun) > 2*day {
				return append(all, warn.Lapse{Kind: "machine", Name: "late", Since: begun.Add(-90 * day), Until: begun.Add(8 * day), Advice: "sign in there"})
			}
			return all
		}
		s := &sink{}
		warning(t, file, lapses, 3*day, s)
		if len(s.got) != 3 || !strings.Contains(s.got[0]+s.got[1], "and 395 more") || s.got[2] != "late" {
			t.Errorf("heard %q", s.got)
		}
	})
}

// A restart tells nothing of a large fleet twice.
func TestLargeFleetIsToldOnce(t *testing.T) {
	file := filepath.Join(t.TempDir(), "warned.json")
	synctest.Test(t, func(t *testing.T) {
		all := fleet(50_000, time.Now().Add(6*day))
		lapses := func(context.Context) []warn.Lapse { return all }
		s := &sink{}
		for range 2 {
			warning(t, file, lapses, time.Minute, s)
		}
		if len(s.got) != 1 {
			t.Errorf("heard %d times: %.300q", len(s.got), s.got)
		}
	})
}

// A program that reads what is posted learns of how many it is told.
func TestWebhookOfSeveralCountsThem(t *testing.T) {
	var bodies []string
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		bodies = append(bodies, string(body))
	}))
	defer s.Close()
	h, err := warn.NewWebhook(s.URL, "m-1", []byte(secret), func() time.Time { return noon })
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{2, 1} {
		due, _ := warn.Weigh(fleet(n, noon.Add(day-time.Minute)), warn.Told{}, noon)
		if err := h.Send(t.Context(), warn.Gather(due)[0]); err != nil {
			t.Fatal(err)
		}
	}
	if !strings.HasPrefix(bodies[0], `{"mesh":"m-1","kind":"machine","name":"ward-000 of anna, ward-001 of anna","until":"2026-11-24T11:59:00Z","count":2,"text":"2 machines (`) {
		t.Errorf("of two: %s", bodies[0])
	}
	if strings.Contains(bodies[1], "count") {
		t.Errorf("of one: %s", bodies[1])
	}
}
