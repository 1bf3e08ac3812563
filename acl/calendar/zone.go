package calendar

import (
	_ "embed"
	"math"
	"slices"
	"strings"
	"time"
)

// ZoneError tells that a time zone cannot be used.
type ZoneError struct {
	Zone        string // as it was written
	Reason, Fix string
}

// Error gives the zone, the reason and the remedy in one line.
func (e *ZoneError) Error() string { return "tz " + quote(e.Zone) + ": " + sentence(e.Reason, e.Fix) }

// zone is how a wall clock runs. A wall time is counted in seconds as if it
// were one of UTC.
type zone struct {
	location *time.Location
	shifts   []shift // those of a VTIMEZONE, sorted, the first from ever on; location is then UTC
}

// shift begins a time with one offset (seconds east of UTC) at an instant.
type shift struct{ at, offset int64 }

// around gives the offset at an instant and the span in which it holds.
func (z *zone) around(at int64) (offset int64, holds span) {
	if z.shifts == nil {
		t := time.Unix(at, 0).In(z.location)
		_, seconds := t.Zone()
		holds = span{math.MinInt64, math.MaxInt64}
		from, until := t.ZoneBounds()
		if !from.IsZero() {
			holds.from = from.Unix()
		}
		if !until.IsZero() {
			holds.until = until.Unix()
		}
		return int64(seconds), holds
	}
	next, _ := slices.BinarySearchFunc(z.shifts, at, func(s shift, at int64) int {
		if s.at <= at {
			return -1
		}
		return 1
	})
	holds = span{z.shifts[next-1].at, math.MaxInt64}
	if next < len(z.shifts) {
		holds.until = z.shifts[next].at
	}
	return z.shifts[next-1].offset, holds
}

func (z *zone) wall(at int64) int64 {
	offset, _ := z.around(at)
	return at + offset
}

// reach is more than any wall clock is away from UTC.
const reach = 26 * hour

// begin gives the first instant at which the wall clock has reached a time: of
// an hour that comes twice the first, in a gap the instant after it.
func (z *zone) begin(wall int64) int64 {
	for at := wall - reach; ; {
		offset, holds := z.around(at)
		if wall-offset < holds.until {
			return max(wall-offset, holds.from)
		}
		at = holds.until
	}
}

// end gives the last instant at which the wall clock reaches a time from below:
// of an hour that comes twice the second. It is never before begin.
func (z *zone) end(wall int64) int64 {
	for at := wall + reach; ; {
		offset, holds := z.around(at)
		if wall-offset > holds.from {
			return min(wall-offset, holds.until)
		}
		at = holds.from - 1
	}
}

//go:embed zones.txt
var zoneNames string

// Zones gives the names of the IANA database that say where they are, for telling what a
// mistyped one is meant for. Names such as CET and Etc/GMT+5 are not among them: the
// next name that one letter makes of such a one is of another time.
func Zones() []string { return strings.Fields(zoneNames) }

// loadZone finds a zone of the IANA database by its name. Names that mean what
// one machine is set to are refused: two coordinators would disagree.
func loadZone(name string) (*zone, error) {
	const fix = "write a name of the IANA time zone database, such as America/Chicago"
	switch {
	case name == "":
		return nil, &ZoneError{name, "no time zone is named", fix}
	case name == "Local" || name == "localtime" || strings.HasPrefix(name, "posix"):
		return nil, &ZoneError{name, "is whatever one machine is set to", fix}
	case strings.HasSuffix(name, " Time"):
		return nil, &ZoneError{name, "is a name of Windows, and no time zone here", fix}
	case strings.HasPrefix(name, "right/"):
		return nil, &ZoneError{name, "counts leap seconds, which no clock here does", fix}
	}
	location, err := time.LoadLocation(name)
	if err != nil {
		return nil, &ZoneError{name, "is no time zone", fix}
	}
	return &zone{location: location}, nil
}
