package policy

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/tailscale/hujson"
)

// syntax says why the file is no HuJSON, in the words of a parser that has some, and what
// to do, by where ours stopped. Those words begin with the place. To that parser a
// comment ends with its line alone.
func (r *reader) syntax(p *parser) {
	if at, why := r.noText(); why != nil {
		r.fail(at, "", why)
		return
	}
	_, err := hujson.Parse(append(bytes.Clone(r.src), '\n'))
	if err == nil {
		err = errors.New("cannot be read") // the two should never disagree
	}
	place := regexp.MustCompile(`^hujson: line (\d+), column (\d+): `)
	text, offset := err.Error(), 0
	if m := place.FindStringSubmatch(text); m != nil {
		line, _ := strconv.Atoi(m[1])
		column, _ := strconv.Atoi(m[2])
		text = text[len(m[0]):]
		offset = len(r.src) // in the line that was added
		if line >= 1 && line <= len(r.lines) {
			offset = r.lines[line-1] + column - 1
		}
	}
	text, _, _ = strings.Cut(text, "\n") // it may repeat what it cannot read
	r.fail(offset, "", complain("not HuJSON: "+shorten(text), r.instead(p)))
}

// noText tells of a file that is none of text: NUL bytes stand in no policy.
func (r *reader) noText() (at int, why *complaint) {
	at = bytes.IndexByte(r.src, 0)
	switch {
	case at < 0:
		return 0, nil
	case at < 2 && len(r.src) > 2:
		return 0, complain("the file is UTF-16 without its mark", "save it as UTF-8")
	case len(bytes.Trim(r.src[at:], "\x00")) == 0:
		return at, complain(fmt.Sprintf("the file ends in %d NUL bytes, as it may after a loss of power", len(r.src)-at), "take them out, and look whether the end of the policy is missing")
	}
	return at, complain("not HuJSON: holds a NUL byte, which no text does", "look whether this is the right file")
}

// instead says what to do where the parser stopped.
func (r *reader) instead(p *parser) string {
	bracket := byte(0)
	around := "it"
	if n := len(p.around); n > 0 {
		bracket = p.text[p.around[n-1]]
		around = fmt.Sprintf("the %c in %s", bracket, r.where(p.around[n-1]))
	}
	if p.at == len(p.text) {
		if bracket == 0 {
			return lookAround
		}
		return around + " is not closed: look for what is missing there"
	}
	c, _ := utf8.DecodeRuneInString(p.text[p.at:])
	word := p.text[p.at:]
	word = word[:len(word)-len(strings.TrimLeft(word, letters+digits+"_-"))]
	switch {
	case c == '\n' || c == '\r':
		return "end the text on its line, by a quote"
	case c == '\'':
		return `write double quotes, "`
	case strings.ContainsRune("“”„‟‘’‚«»", c):
		return `write straight quotes, ", not those of a word processor`
	case c == '#':
		return "begin comments with //"
	case c == '=' && p.want == ':':
		return "write a colon between a key and its value"
	case bracket == 0 && p.ended > 0 && (c == '}' || c == ']'):
		return "it closes nothing: take it out, or one before it"
	case bracket == 0 && p.ended > 0:
		return "the policy ends before this: all of it is one object"
	case bracket == 0:
		return "begin the file with {; one in YAML becomes JSON by yq -o=json"
	case c == '}' || c == ']':
		if p.want != ',' {
			return lookAround
		}
		return fmt.Sprintf("%s is closed by %c", around, bracket+2)
	case p.want == '"' && (c == '{' || c == '['):
		return fmt.Sprintf("close %s first, by %c", around, bracket+2)
	case p.want == '"' && word != "":
		return fmt.Sprintf("write %q, in quotes", word)
	case p.want == ',' && (c == '"' || c == '{' || c == '[' || word != ""):
		return "write a comma behind what ends in " + r.where(p.ended-1)
	case word != "" && p.want == 0:
		return other(word)
	}
	return lookAround
}

const lookAround = "look for a missing comma, quote or bracket just before"

// other says how to write a word that stands where a value should.
func other(word string) string {
	switch low := strings.ToLower(word); low {
	case "true", "false", "null":
		return "write " + low + ", in small letters"
	case "none", "nil", "undefined":
		return "write null"
	case "yes", "on":
		return "write true"
	case "no", "off":
		return "write false"
	}
	return fmt.Sprintf("write %q, in quotes", shorten(word))
}
