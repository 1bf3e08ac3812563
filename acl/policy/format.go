package policy

import (
	"strings"
	"unicode/utf8"
)

// Format gives a policy file in canonical form: two files that differ in blanks and
// commas alone become one, with the same comments. How it lays them out:
//
//   - What has no comment inside stands on one line if that line has up to 120
//     columns, of which a tab has four. The file itself does not, nor does a section
//     of objects: each rule and each definition begins a line.
//   - Of anything else each part stands on a line of its own, a comma behind it.
//   - A comment that begins on the line where something ends stays behind that. Any
//     other stands on its own lines before what comes next. That is all that a line
//     break says.
//   - Sections stand apart by an empty line, but those of one line each.
//
// The order stays, and every word and comment but for blanks at a line's end. A
// file that cannot be read to its end, or has a key twice, is refused with
// [Errors]; whether it is a policy that holds is [Parse]'s to say.
func Format(name string, src []byte) ([]byte, error) {
	r := newReader(name, src)
	root, ok := r.unique()
	if !ok {
		return nil, r.errs
	}
	first, second := comments(r.source[:root.at])
	behind, after := comments(r.source[root.at+len(root.text):])
	top := pieceOf(&root, r.source)
	var w layout
	w.remarks(append(first, second...)) // nothing is before them
	w.whole(&top)
	w.trail(behind)
	w.line()
	w.remarks(after)
	return []byte(w.out.String()), nil
}

// lineWidth and tabWidth say how much of a policy fits on a line.
const lineWidth, tabWidth = 120, 4

// layout is a file as it is written.
type layout struct {
	out   strings.Builder
	depth int
}

func (w *layout) line() { w.out.WriteByte('\n') }

func (w *layout) indent() {
	for range w.depth {
		w.out.WriteByte('\t')
	}
}

// remarks writes comments on lines of their own.
func (w *layout) remarks(all []string) {
	for _, one := range all {
		w.indent()
		w.out.WriteString(one)
		w.line()
	}
}

// trail writes comments behind something.
func (w *layout) trail(all []string) {
	for _, one := range all {
		w.out.WriteString(" " + one)
	}
}

// part writes an element or a member on lines of its own.
func (w *layout) part(p *piece) {
	w.remarks(p.before)
	w.indent()
	used := w.depth*tabWidth + len(",")
	if p.key != nil {
		w.out.WriteString(p.key.text + ": ")
		used += utf8.RuneCountInString(p.key.text) + len(": ")
	}
	if p.oneLine && used+p.width <= lineWidth && !(w.depth == 1 && p.holdsObjects()) {
		w.flat(p)
	} else {
		w.whole(p)
	}
	w.out.WriteByte(',')
	w.trail(p.behind)
	w.line()
}

// whole writes a value over several lines, if it has parts.
func (w *layout) whole(p *piece) {
	if len(p.inner) == 0 && p.oneLine {
		w.flat(p)
		return
	}
	w.out.WriteByte(p.value.text[0])
	w.trail(p.opening)
	w.line()
	w.depth++
	if w.depth == 1 {
		w.sections(p.inner)
	} else {
		for i := range p.inner {
			w.part(&p.inner[i])
		}
	}
	w.remarks(p.closing)
	w.depth--
	w.indent()
	w.out.WriteByte(p.value.text[len(p.value.text)-1])
}

// sections writes what the file holds, an empty line beside what has several.
func (w *layout) sections(all []piece) {
	long := false
	for i := range all {
		one := layout{depth: w.depth}
		one.part(&all[i])
		text, above := one.out.String(), long
		long = strings.Count(text, "\n") > 1
		if i > 0 && (above || long) {
			w.line()
		}
		w.out.WriteString(text)
	}
}

// flat writes a value on one line.
func (w *layout) flat(p *piece) {
	if len(p.inner) == 0 {
		w.out.WriteString(p.empty())
		return
	}
	w.out.WriteByte(p.value.text[0])
	for i := range p.inner {
		if i > 0 {
			w.out.WriteString(", ")
		}
		if key := p.inner[i].key; key != nil {
			w.out.WriteString(key.text + ": ")
		}
		w.flat(&p.inner[i])
	}
	w.out.WriteByte(p.value.text[len(p.value.text)-1])
}
