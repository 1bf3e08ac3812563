package calendar

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// RosterError tells what of a roster's file cannot be understood. Nothing of
// such a file is used.
type RosterError struct {
	Line        int // counted from 1, as an editor does; 0: the file as a whole
	Reason, Fix string
}

// Error gives the line, the reason and the remedy in one line.
func (e *RosterError) Error() string {
	if e.Line == 0 {
		return "roster: " + sentence(e.Reason, e.Fix)
	}
	return fmt.Sprintf("roster: line %d: %s", e.Line, sentence(e.Reason, e.Fix))
}

func wrong(line int, reason, fix string) error { return &RosterError{line, reason, fix} }

// property is one content line (RFC 5545, section 3.1), its names in upper case.
type property struct {
	line   int
	name   string
	params []parameter
	value  string
}

type parameter struct{ name, value string }

// param gives a parameter's value, of a list all of it; "" if it is not there.
func (p *property) param(name string) string {
	for _, one := range p.params {
		if one.name == name {
			return one.value
		}
	}
	return ""
}

// component is what stands between BEGIN and END.
type component struct {
	line       int
	name       string
	properties []property
	parts      []*component
}

// all gives the properties of a name.
func (c *component) all(name string) []*property {
	var found []*property
	for i := range c.properties {
		if c.properties[i].name == name {
			found = append(found, &c.properties[i])
		}
	}
	return found
}

// one gives the property of a name, which must not be there twice; nil if it is
// not there.
func (c *component) one(name string) (*property, error) {
	found := c.all(name)
	switch len(found) {
	case 0:
		return nil, nil
	case 1:
		return found[0], nil
	}
	return nil, wrong(found[1].line, name+" stands twice in one "+c.name, "leave the one that is meant")
}

// The libraries that read iCalendar give no line numbers, and take a file that
// was cut short for a whole one.

// readCalendar reads the one VCALENDAR of a file.
func readCalendar(text []byte) (*component, error) {
	r := contentReader{rest: bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))}
	first, err := r.next()
	if err != nil {
		return nil, err
	}
	if first == nil || first.name != "BEGIN" || !strings.EqualFold(first.value, "VCALENDAR") {
		return nil, wrong(max(r.begun, 1), "the file does not begin with BEGIN:VCALENDAR", "export the roster as iCalendar (.ics)")
	}
	calendar, err := r.component(first, 1)
	if err != nil {
		return nil, err
	}
	if more, err := r.next(); err != nil {
		return nil, err
	} else if more != nil {
		return nil, wrong(more.line, "something follows END:VCALENDAR", "a roster is one calendar: make one file of it")
	}
	return calendar, nil
}

// contentReader takes a file apart into content lines.
type contentReader struct {
	rest  []byte
	line  int // read so far
	begun int // line at which the last property began
}

// component reads up to the END that belongs to a BEGIN.
func (r *contentReader) component(begin *property, depth int) (*component, error) {
	const deepest = 5 // VCALENDAR, VEVENT, VALARM are three
	if depth > deepest {
		return nil, wrong(begin.line, "components are nested too deep", "")
	}
	c := &component{line: begin.line, name: strings.ToUpper(begin.value)}
	for {
		p, err := r.next()
		switch {
		case err != nil:
			return nil, err
		case p == nil:
			return nil, wrong(r.line, fmt.Sprintf("the file ends within %s of line %d", quote(c.name), c.line), "it was cut short: fetch it again")
		case p.name == "BEGIN":
			part, err := r.component(p, depth+1)
			if err != nil {
				return nil, err
			}
			c.parts = append(c.parts, part)
		case p.name == "END" && !strings.EqualFold(p.value, c.name):
			return nil, wrong(p.line, fmt.Sprintf("END:%s where %s of line %d is open", quote(p.value), quote(c.name), c.line), "")
		case p.name == "END":
			return c, nil
		default:
			c.properties = append(c.properties, *p)
		}
	}
}

// next gives the next property, unfolded; nil at the file's end.
func (r *contentReader) next() (*property, error) {
	for len(r.rest) > 0 {
		text := bytes.Clone(r.physical())
		r.begun = r.line
		for len(r.rest) > 0 && (r.rest[0] == ' ' || r.rest[0] == '\t') {
			text = append(text, r.physical()[1:]...)
		}
		if len(text) > 0 {
			return readProperty(string(text), r.begun)
		}
	}
	return nil, nil
}

func (r *contentReader) physical() []byte {
	line, rest, _ := bytes.Cut(r.rest, []byte("\n"))
	r.rest = rest
	r.line++
	return bytes.TrimSuffix(line, []byte("\r"))
}

const mostParameters = 100

func readProperty(text string, line int) (*property, error) {
	if !utf8.ValidString(text) {
		return nil, wrong(line, "is not UTF-8", "export the roster as UTF-8")
	}
	if at := strings.IndexFunc(text, func(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f }); at >= 0 {
		return nil, wrong(line, fmt.Sprintf("holds the control character %q", text[at]), "the file is damaged: fetch it again")
	}
	p := &property{line: line}
	p.name, text = cutName(text)
	for p.name != "" && strings.HasPrefix(text, ";") {
		var one parameter
		var ok bool
		if one, text, ok = cutParameter(text[1:]); !ok {
			return nil, wrong(line, p.name+" has a parameter that cannot be read", "write ;NAME=value or ;NAME=\"value\"")
		}
		if len(p.params) == mostParameters || slices.ContainsFunc(p.params, func(o parameter) bool { return o.name == one.name }) {
			return nil, wrong(line, p.name+" has the parameter "+quote(one.name)+" twice, or too many", "leave the one that is meant")
		}
		p.params = append(p.params, one)
	}
	value, ok := strings.CutPrefix(text, ":")
	if p.name == "" || !ok {
		return nil, wrong(line, quote(text)+" is no content line of iCalendar", "write NAME:value; a line that goes on begins with a space")
	}
	p.value = value
	return p, nil
}

func cutName(text string) (name, rest string) {
	i := 0
	for i < len(text) && (text[i] == '-' || text[i] >= '0' && text[i] <= '9' || (text[i]|0x20) >= 'a' && (text[i]|0x20) <= 'z') {
		i++
	}
	return strings.ToUpper(text[:i]), text[i:]
}

// cutParameter reads NAME=value[,value]; values in quotes may hold what ends others.
func cutParameter(text string) (p parameter, rest string, ok bool) {
	p.name, text = cutName(text)
	if p.name == "" || !strings.HasPrefix(text, "=") {
		return p, text, false
	}
	for {
		var one string
		if text = text[1:]; strings.HasPrefix(text, `"`) {
			if one, text, ok = strings.Cut(text[1:], `"`); !ok {
				return p, text, false
			}
		} else if end := strings.IndexAny(text, `;:,"`); end >= 0 {
			one, text = text[:end], text[end:]
		}
		p.value += one
		if !strings.HasPrefix(text, ",") {
			return p, text, true
		}
		p.value += ","
	}
}
