package policy

import "github.com/cordonmesh/cordon/acl/calendar"

// Schedule is when something holds, week for week.
type Schedule struct {
	Name   string
	Pos    Position
	Weekly calendar.Weekly
}

// OnCall is a roster that another system keeps, an iCalendar file (RFC 5545).
type OnCall struct {
	Name string
	Pos  Position
	File string // relative to the policy file
}
