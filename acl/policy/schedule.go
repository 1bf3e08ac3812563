package policy

import "time"

// Schedule is when something holds, week for week.
type Schedule struct {
	Name   string
	Pos    Position
	Zone   *time.Location
	Weekly []string // spans of the week by that zone's clock: "Mon-Fri 07:00-19:00"
}

// OnCall is a roster that another system keeps, an iCalendar file (RFC 5545).
type OnCall struct {
	Name string
	Pos  Position
	File string // relative to the policy file
}
