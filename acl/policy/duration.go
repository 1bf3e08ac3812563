package policy

import (
	"strconv"
	"strings"
	"time"
)

// longest bounds every duration of a policy: what is meant to last longer is
// meant to last for ever.
const longest = 3650 * 24 * time.Hour

// duration reads a span of time above 0: what Go writes ("90m", "1h30m"), and
// days of 24 hours and weeks of seven ("30d", "1w").
func duration(text string) (time.Duration, *complaint) {
	d, ok := anyDuration(text)
	switch {
	case !ok:
		return 0, complain("is no duration", "write 90m, 12h, 30d or 1w")
	case d <= 0:
		return 0, complain("is not above 0", "write 90m, 12h, 30d or 1w")
	case d > longest:
		return 0, complain("is longer than ten years", "write 3650d or less")
	}
	return d, nil
}

// anyDuration is duration without bounds. What is longer than [longest] may come
// out shorter than it is written, yet longer than that.
func anyDuration(text string) (total time.Duration, ok bool) {
	if text == "" || len(text) > 40 {
		return 0, false
	}
	for text != "" {
		unit := strings.TrimLeft(text, digits+".")
		rest := strings.TrimLeft(unit, letters+"µ")
		one, ok := quantity(text[:len(text)-len(unit)], unit[:len(unit)-len(rest)])
		if !ok {
			return 0, false
		}
		total, text = min(total+min(one, longest+1), longest+1), rest
	}
	return total, true
}

func quantity(number, unit string) (time.Duration, bool) {
	day := 24 * time.Hour
	switch unit {
	case "w":
		day *= 7
	case "d":
	default:
		d, err := time.ParseDuration(number + unit)
		return d, err == nil
	}
	n, err := strconv.ParseUint(number, 10, 32)
	return day * time.Duration(min(n, uint64(longest/day)+1)), err == nil
}

// SpanText gives a span without its zeros: 12h, not 12h0m0s.
func SpanText(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// period reads a duration that may be left out.
func (r *reader) period(fields object, key string) time.Duration {
	it, ok := r.word(fields, key)
	if !ok {
		return 0
	}
	d, bad := duration(it.text)
	if bad != nil {
		r.failAt(it.at, key, it.text, bad)
	}
	return d
}

// onExpiry reads "cut", or "drain" with how long.
func (r *reader) onExpiry(fields object) (e OnExpiry, written bool) {
	it, ok := r.word(fields, "onExpiry")
	if !ok {
		return e, false
	}
	verb, rest, _ := strings.Cut(it.text, " ")
	var bad *complaint
	switch {
	case verb == "drain" && rest != "":
		e.Drain, bad = duration(strings.TrimSpace(rest))
	case it.text != "cut":
		bad = complain("says not what becomes of a flow", `write "cut", or "drain 15m"`)
	}
	if bad != nil {
		r.failAt(it.at, "onExpiry", it.text, bad)
	}
	return e, true
}
