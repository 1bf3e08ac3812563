package calendar

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// SpanError tells what of a weekly span cannot be understood.
type SpanError struct {
	Index       int // of the span in the list
	Offset      int // in bytes from the span's begin
	Span        string
	Reason, Fix string
}

// Error gives the span, the place in it, the reason and the remedy in one line.
func (e *SpanError) Error() string {
	return fmt.Sprintf("weekly[%d] %s: at byte %d: %s", e.Index, quote(e.Span), e.Offset, sentence(e.Reason, e.Fix))
}

var dayNames = []string{"Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"}

// ParseWeekly reads spans of the week by the clock of a zone of the IANA
// database. A span is a list of days and times of the day:
//
//	Mon-Fri 07:00-19:00
//	Mon,Wed,Fri 08:00-12:00,13:00-17:00
//	Fri-Mon 22:00-06:00      four nights, which begin on Friday to Monday
//	daily 00:00-24:00
//	Saturday,Sun             days alone are whole days
//
// The error is a [*ZoneError] or a [*SpanError].
func ParseWeekly(tz string, spans []string) (Weekly, error) {
	z, err := loadZone(tz)
	if err != nil {
		return Weekly{}, err
	}
	if len(spans) == 0 {
		return Weekly{}, &SpanError{Reason: "no span is given, so it would never be open", Fix: `write one, such as "Mon-Fri 07:00-19:00"`}
	}
	var all []span
	for i, text := range spans {
		p := spanParser{text: text, index: i}
		found, err := p.span()
		if err != nil {
			return Weekly{}, err
		}
		all = append(all, found...)
	}
	slices.SortFunc(all, func(a, b span) int { return cmp.Compare(a.from, b.from) })
	return Weekly{zone: z, spans: join(all)}, nil
}

// spanParser reads one span.
type spanParser struct {
	text  string
	index int
	at    int
}

func (p *spanParser) wrong(at int, reason, fix string) error {
	return &SpanError{Index: p.index, Offset: at, Span: p.text, Reason: reason, Fix: fix}
}

// skip passes over spaces, and over one of the given bytes if it is next.
func (p *spanParser) skip(one byte) bool {
	for p.at < len(p.text) && p.text[p.at] == ' ' {
		p.at++
	}
	if p.at < len(p.text) && p.text[p.at] == one {
		p.at++
		p.skip(' ')
		return true
	}
	return false
}

// span gives the span's parts within one week, in no order.
func (p *spanParser) span() ([]span, error) {
	p.skip(' ')
	days, err := p.days()
	if err != nil {
		return nil, err
	}
	hours, err := p.hours()
	if err != nil {
		return nil, err
	}
	var all []span
	for d := range int64(7) {
		for _, h := range hours {
			if !days[d] {
				continue
			}
			one := span{d*day + h.from, d*day + h.until}
			if one.until > week { // Sunday's night ends on the Monday that begins the week
				all = append(all, span{0, one.until - week})
				one.until = week
			}
			all = append(all, one)
		}
	}
	return all, nil
}

func (p *spanParser) days() ([7]bool, error) {
	var days [7]bool
	for {
		first, last, err := p.dayRange()
		if err != nil {
			return days, err
		}
		for d := first; ; d = (d + 1) % 7 {
			days[d] = true
			if d == last {
				break
			}
		}
		if !p.skip(',') {
			return days, nil
		}
	}
}

func (p *spanParser) dayRange() (first, last int, err error) {
	if start := p.at; strings.EqualFold(p.word(), "daily") {
		return 0, 6, nil
	} else if p.at = start; start == len(p.text) {
		return 0, 0, p.wrong(start, "a day is missing", "write Mon, Mon-Fri or daily")
	}
	if first, err = p.day(); err != nil {
		return 0, 0, err
	}
	if !p.skip('-') {
		return first, first, nil
	}
	last, err = p.day()
	return first, last, err
}

func (p *spanParser) word() string {
	start := p.at
	for p.at < len(p.text) && (p.text[p.at]|0x20) >= 'a' && (p.text[p.at]|0x20) <= 'z' {
		p.at++
	}
	return p.text[start:p.at]
}

func (p *spanParser) day() (int, error) {
	start := p.at
	word := p.word()
	for i, name := range dayNames {
		if strings.EqualFold(word, name) || strings.EqualFold(word, name[:3]) {
			return i, nil
		}
	}
	return 0, p.wrong(start, "is no day of the week", "write Mon, Tue, Wed, Thu, Fri, Sat or Sun")
}

// hours reads times of the day, up to the end of the text; one that ends on the
// next day ends after 24:00.
func (p *spanParser) hours() ([]span, error) {
	if p.skip(' '); p.at == len(p.text) {
		return []span{{0, day}}, nil
	}
	var hours []span
	for {
		one, err := p.hourRange()
		if err != nil {
			return nil, err
		}
		hours = append(hours, one)
		if !p.skip(',') {
			break
		}
	}
	if p.at < len(p.text) {
		return nil, p.wrong(p.at, "is more than days and times", "end the span here, or write a comma between two times")
	}
	return hours, nil
}

func (p *spanParser) hourRange() (span, error) {
	start := p.at
	from, err := p.clock()
	if err != nil {
		return span{}, err
	}
	if from == day {
		return span{}, p.wrong(start, "24:00 begins nothing", "write 00:00 of the next day")
	}
	if !p.skip('-') {
		return span{}, p.wrong(p.at, "the end of the time is missing", "write 07:00-19:00")
	}
	until, err := p.clock()
	switch {
	case err != nil:
		return span{}, err
	case until == from:
		return span{}, p.wrong(start, "begins and ends at the same time", "for the whole day write 00:00-24:00")
	case until < from:
		until += day
	}
	return span{from, until}, nil
}

// clock reads HH:MM into seconds.
func (p *spanParser) clock() (int64, error) {
	start := p.at
	text := p.text[start:min(start+5, len(p.text))]
	digits := func(a, b byte) int64 {
		if a < '0' || a > '9' || b < '0' || b > '9' {
			return 99
		}
		return int64(a-'0')*10 + int64(b-'0')
	}
	if len(text) < 5 || text[2] != ':' {
		return 0, p.wrong(start, "is no time of the day", "write it as 07:00, from 00:00 to 24:00")
	}
	h, m := digits(text[0], text[1]), digits(text[3], text[4])
	if h > 24 || m > 59 || h == 24 && m > 0 {
		return 0, p.wrong(start, "is no time of the day", "write it as 07:00, from 00:00 to 24:00")
	}
	p.at += 5
	return h*hour + m*minute, nil
}
