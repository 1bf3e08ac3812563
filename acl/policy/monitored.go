package policy

import (
	"fmt"
	"time"
)

// monitored reads until when something is watched and not enforced. It must end
// some day, or nobody would ever enforce it.
func (r *reader) monitored(on bool, key string, fields object) time.Time {
	it, written := r.word(fields, "until")
	switch {
	case on && !written:
		r.fail(fields.member(key).at, key, complain("monitoring needs an end", `add "until": "2027-03-31", the last day`))
		return time.Time{}
	case !on && written:
		r.failAt(it.at, "until", it.text, complain("ends nothing: nothing is monitored here", "take it out, or turn monitoring on"))
		return time.Time{}
	case !on:
		return time.Time{}
	}
	end, bad := until(it.text)
	switch {
	case bad != nil:
		r.failAt(it.at, "until", it.text, bad)
	case !end.After(r.now):
		r.warn(it.at, it.text, "is past: what was monitored is enforced")
		return time.Time{}
	case end.After(r.now.AddDate(1, 0, 1)):
		r.warn(it.at, it.text, fmt.Sprintf("is more than a year ahead: until then nothing is enforced, and nobody will remember why; write such as %q, a month and more, and extend it if that is too short",
			r.now.AddDate(0, 3, 0).UTC().Format(time.DateOnly)))
	}
	return end
}

// until reads a day, through which it lasts by UTC, or a moment.
func until(text string) (time.Time, *complaint) {
	if day, err := time.Parse(time.DateOnly, text); err == nil {
		return day.AddDate(0, 0, 1), nil
	}
	moment, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}, complain("is no day and no moment", "write 2027-03-31, or 2027-03-31T18:00:00Z")
	}
	return moment, nil
}

// watching warns of a rule that monitors where there is nothing that could be left out:
// it opens the same before its end and after.
func (r *ruleReader) watching(rule *Rule, fields object) {
	if rule.Monitor.IsZero() || rule.When.conditional() || len(rule.Postures) > 0 {
		return
	}
	r.warn(fields.member("monitor").at, "monitor", "watches nothing, since the rule has neither when nor srcPosture: it opens the same before until and after; write under when what is to be tried, or take monitor and until out")
}
