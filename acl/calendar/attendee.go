package calendar

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
)

const mostAttendees = 200 // of one event

// attendees reads who an event puts on duty: its ATTENDEEs who take part. The
// ORGANIZER is who wrote the roster.
func (r *rosterReader) attendees(c *component, e *event) error {
	all := c.all("ATTENDEE")
	if len(all) > mostAttendees {
		return wrong(c.line, fmt.Sprintf("VEVENT has more than %d ATTENDEEs", mostAttendees), "write an event for each group")
	}
	for _, p := range all {
		login, doubt := attendee(p)
		if doubt != "" {
			r.warn(p.line, doubt)
		}
		if login != "" && !slices.Contains(e.who, login) {
			e.who = append(e.who, login)
		}
	}
	if len(e.who) == 0 {
		r.warn(c.line, "the event puts nobody on duty: it has no ATTENDEE who takes part")
	}
	return nil
}

// attendee gives the login of one who takes part; else "", and what is doubtful
// about it, if anything is.
func attendee(p *property) (login, doubt string) {
	switch kind := strings.ToUpper(p.param("CUTYPE")); kind {
	case "", "INDIVIDUAL":
	case "ROOM", "RESOURCE":
		return "", ""
	default:
		return "", "ATTENDEE is " + quote(kind) + ", which is nobody: name persons"
	}
	if strings.EqualFold(p.param("ROLE"), "NON-PARTICIPANT") {
		return "", ""
	}
	switch answer := strings.ToUpper(p.param("PARTSTAT")); answer {
	case "", "ACCEPTED", "NEEDS-ACTION", "TENTATIVE":
	case "DECLINED", "DELEGATED": // whom it was delegated to is an ATTENDEE too
		return "", ""
	default:
		return "", "ATTENDEE's answer " + quote(answer) + " is not understood here: it puts nobody on duty"
	}
	scheme, address, ok := strings.Cut(p.value, ":")
	login, err := url.PathUnescape(address)
	local, domain, _ := strings.Cut(login, "@")
	if !ok || err != nil || !strings.EqualFold(scheme, "mailto") || local == "" || domain == "" || strings.ContainsFunc(login, foreign) || strings.Contains(domain, "@") {
		return "", "ATTENDEE " + quote(p.value) + " names nobody: write mailto:name@domain"
	}
	return login, ""
}

// foreign tells what no login holds.
func foreign(c rune) bool { return c <= ' ' || c == 0x7f || strings.ContainsRune(`,;:?<>"()`, c) }
