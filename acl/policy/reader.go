package policy

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"
	"unicode/utf8"
)

// reader walks one file's syntax tree and gathers everything wrong with it.
type reader struct {
	name   string
	src    []byte
	source string // src once more, for names to be parts of
	lines  []int  // offset at which each line begins
	last   place
	known  map[string]*keyTable
	errs   Errors
	warns  []Warning

	inForce, noWarnings bool // as Options says

	forgiven []Warning // what is refused elsewhere; at most maxErrors

	inObjects chunks[member]
	inLists   chunks[item]

	now      time.Time
	patterns int // steps of the regular expressions so far
}

// place is an offset whose column is known.
type place struct{ offset, line, column int }

func newReader(name string, src []byte) *reader {
	r := &reader{name: name, src: src, lines: []int{0}, known: make(map[string]*keyTable)}
	if len(src) > maxSize {
		return r // no place in it will be asked for
	}
	r.source = string(src)
	r.lines = append(make([]int, 0, 1+strings.Count(r.source, "\n")), 0)
	for at := 0; ; {
		end := strings.IndexByte(r.source[at:], '\n')
		if end < 0 {
			return r
		}
		at += end + 1
		r.lines = append(r.lines, at)
	}
}

// pos gives the position of an offset. It counts on, or back, from the last one in
// the same line, to which most are near: a file of one huge line would else cost its
// square.
func (r *reader) pos(offset int) Position {
	offset = min(offset, len(r.src))
	line := sort.SearchInts(r.lines, offset+1)
	from := place{r.lines[line-1], line, 1}
	if r.last.line == line && r.last.offset-offset < offset-from.offset {
		from = r.last
	}
	column := from.column
	if from.offset <= offset {
		column += utf8.RuneCount(r.src[from.offset:offset])
	} else {
		column -= utf8.RuneCount(r.src[offset:from.offset])
	}
	r.last = place{offset, line, column}
	return Position{File: r.name, Line: line, Column: column}
}

// fail notes an error. Past maxErrors they are dropped: nobody reads them, and
// garbage must cost nothing.
func (r *reader) fail(offset int, text string, c *complaint) { r.failAt(offset, "", text, c) }

// failAt is fail for a text that stands under a key.
func (r *reader) failAt(offset int, key, text string, c *complaint) {
	r.note(func() Position { return r.pos(offset) }, key, text, c)
}

// failIn is fail for what was read before.
func (r *reader) failIn(at Position, text string, c *complaint) {
	r.note(func() Position { return at }, "", text, c)
}

func (r *reader) note(at func() Position, key, text string, c *complaint) {
	e := func() *Error {
		return &Error{Pos: at(), Key: key, Text: text, Why: c.why, Fix: c.advice(), Unsupported: c.unsupported, whole: c.whole}
	}
	switch {
	case r.inForce && c.judgement:
		r.let(e)
	case len(r.errs) < maxErrors:
		if one := e(); !slices.ContainsFunc(r.errs, one.same) { // some lists are read twice
			r.errs = append(r.errs, one)
		}
	}
}

// let notes what a policy that is in force goes on with.
func (r *reader) let(e func() *Error) {
	if len(r.forgiven) >= maxErrors {
		return
	}
	one := e()
	text := cmp.Or(one.Text, one.Key)
	if one.whole {
		text = ""
	}
	r.forgiven = append(r.forgiven, Warning{Pos: one.Pos, Text: text, Why: "would be refused today: " + line("", "", one.Why, one.Fix), Refused: true})
}

// forgive lets a policy that is in force go on in spite of its errors from the
// given one on, which are of what permits nothing.
func (r *reader) forgive(from int) {
	if !r.inForce || from > len(r.errs) {
		return
	}
	for _, one := range r.errs[from:] {
		r.let(func() *Error { return one })
	}
	r.errs = r.errs[:from]
}

func (r *reader) warn(offset int, text, why string) {
	if len(r.warns) < maxErrors {
		r.warnAt(r.pos(offset), text, why)
	}
}

func (r *reader) warnAt(pos Position, text, why string) {
	if len(r.warns) < maxErrors && !r.noWarnings {
		r.warns = append(r.warns, Warning{Pos: pos, Text: text, Why: why})
	}
}

// tree parses src into a syntax tree within the limits. It has failed when ok
// is false.
func (r *reader) tree() (root value, ok bool) {
	switch {
	case len(r.src) > maxSize:
		r.fail(0, "", complain(fmt.Sprintf("the file has %d bytes, the limit is %d", len(r.src), maxSize), "split groups off to the identity provider"))
		return root, false
	case strings.HasPrefix(string(r.src[:min(3, len(r.src))]), "\ufeff"):
		r.fail(0, "", complain("the file begins with a byte order mark", "save it as UTF-8 without one"))
		return root, false
	}
	if len(bytes.TrimSpace(r.src)) == 0 {
		r.fail(0, "", complain("the file is empty", "write {} to deny all"))
		return root, false
	}
	if bytes.HasPrefix(r.src, []byte{0xff, 0xfe}) || bytes.HasPrefix(r.src, []byte{0xfe, 0xff}) {
		r.fail(0, "", complain("the file is UTF-16, as PowerShell's > writes it, and Notepad by the name of Unicode", "save it as UTF-8"))
		return root, false
	}
	if bad := firstInvalid(r.src); bad >= 0 {
		if at, why := r.noText(); why != nil && at < bad {
			r.fail(at, "", why)
			return root, false
		}
		r.fail(bad, "", complain("the file is not UTF-8 here", "save it as UTF-8"))
		return root, false
	}
	p := parser{text: r.source}
	if root, ok = p.parse(); ok {
		return root, true
	}
	if at, why := tooMuch(r.src); why != nil {
		r.fail(at, "", why)
	} else {
		r.syntax(&p)
	}
	return root, false
}

// unique is tree of a file that has no key twice.
func (r *reader) unique() (root value, ok bool) {
	if root, ok = r.tree(); ok {
		r.duplicates(&root)
	}
	return root, ok && len(r.errs) == 0
}

// firstInvalid gives the offset of the first byte that is not UTF-8, or -1.
func firstInvalid(src []byte) int {
	if utf8.Valid(src) {
		return -1
	}
	for i := 0; i < len(src); {
		c, n := utf8.DecodeRune(src[i:])
		if c == utf8.RuneError && n <= 1 {
			return i
		}
		i += n
	}
	return -1
}

// tooMuch finds where brackets nest deeper than maxDepth or values are more than
// maxValues, where parse stopped. It runs before the parser that has words for what is no
// JSON, which recurses as deep as its input and would overflow the stack, for which Go
// knows no recovery; and makes some 500 bytes of each two-byte value besides.
func tooMuch(src []byte) (offset int, why *complaint) {
	depth, values := 0, 0
	for i := 0; i < len(src); i++ {
		switch c := src[i]; {
		case c == '{' || c == '[':
			depth++
			values++
		case c == '}' || c == ']':
			depth--
		case c == ',' || c == ':':
			values++
		case c == '"':
			for i++; i < len(src) && src[i] != '"'; i++ {
				if src[i] == '\\' {
					i++
				}
			}
		case c == '/' && i+1 < len(src) && src[i+1] == '/':
			for i < len(src) && src[i] != '\n' {
				i++
			}
		case c == '/' && i+1 < len(src) && src[i+1] == '*':
			end := bytes.Index(src[i+2:], []byte("*/"))
			if end < 0 {
				return 0, nil // the parser will say so
			}
			i += 2 + end + 1
		}
		if depth > maxDepth {
			return i, complain(fmt.Sprintf("nested deeper than %d levels", maxDepth), "no policy needs that")
		}
		if values > maxValues {
			return i, complain(fmt.Sprintf("more than %d names, numbers and lists in one file", maxValues), "split groups off to the identity provider")
		}
	}
	return 0, nil
}

// elements gives the elements of a list; of null, none. A string in its place is no
// list, and what it says is looked at all the same.
func (r *reader) elements(v *value, what string) []value {
	if !v.isList() {
		r.expect(v, what, "a list")
		if v.isText() {
			return []value{*v}
		}
		return nil
	}
	return v.inner
}

// entries gives the elements of a section that is a list, unless they are too
// many; an absent section has none.
func (r *reader) entries(section member, name, what string) []value {
	if section.value == nil {
		return nil
	}
	if !section.value.isList() {
		r.expect(section.value, `"`+name+`"`, "a list")
		return nil
	}
	elements := section.value.inner
	if len(elements) > maxRules {
		r.fail(section.at, name, tooMany(what))
		return nil
	}
	return r.objects(elements, name)
}

// objects gives those of the elements that are objects, or say nothing.
func (r *reader) objects(elements []value, name string) []value {
	other := func(v value) bool { return !v.isObject() && !v.isNull() }
	if !slices.ContainsFunc(elements, other) {
		return elements
	}
	for i := range elements {
		if other(elements[i]) {
			r.expect(&elements[i], fmt.Sprintf("an entry of %q", name), "an object")
		}
	}
	return slices.DeleteFunc(slices.Clone(elements), other)
}

func tooMany(what string) *complaint {
	return complain(fmt.Sprintf("more than %d %s", maxRules, what), "join those with the same purpose")
}

// item is one string with its place.
type item struct {
	text string
	at   int
}

// MarshalText gives the string alone, as the text by which a rule is hashed has it.
func (it item) MarshalText() ([]byte, error) { return []byte(TagName(it.text)), nil }

// text reads a string without the blanks around it. ok is false when it is none.
func (r *reader) text(v *value, what string) (it item, ok bool) {
	if !v.isText() {
		r.fail(v.at, v.shown(), complainWhole(what+" must be a string", insteadOf(v, "a string")))
		return item{at: v.at}, false
	}
	return item{v.name(), v.at}, true
}

// texts reads a list of strings. A number in it is none, and is looked at all the same.
// What errors call it is put together when there is one.
func (r *reader) texts(v *value, quote, name string) []item {
	what := func() string { return quote + name + quote }
	elements := v.inner
	if !v.isList() {
		elements = r.elements(v, what())
	}
	if len(elements) > maxItems {
		r.fail(v.at, "", complain(fmt.Sprintf("%s has %d entries, the limit is %d", what(), len(elements), maxItems), "use a group or a CIDR"))
		return nil
	}
	all := r.inLists.list(len(elements))
	for i := range elements {
		v := &elements[i]
		switch {
		case v.isText():
			all = append(all, item{v.name(), v.at})
		case v.isNumber():
			all = append(all, item{v.text, v.at})
			fallthrough
		default:
			r.text(v, "an entry of "+what())
		}
	}
	return all
}

// expect notes that v is not of the kind that it must be. In place of any
// section or list, null is as good as leaving it out.
func (r *reader) expect(v *value, what, kind string) {
	if !v.isNull() {
		r.fail(v.at, v.shown(), complainWhole(what+" must be "+kind, insteadOf(v, kind)))
	}
}
