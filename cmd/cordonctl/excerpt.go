package main

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// excerptWidth is how many characters of a line of source are shown: beside its
// number they fit into a terminal of 80 columns.
const excerptWidth = 70

// excerpt shows a place in a text, with a mark under what stands there: two
// lines, or nothing where there is no such place. Line and column count from 1,
// a column in characters.
func excerpt(source string, line, column int, text string) string {
	lines := strings.Split(source, "\n")
	if line < 1 || line > len(lines) || column < 1 {
		return ""
	}
	whole := strings.TrimSuffix(lines[line-1], "\r")
	if strings.Contains(whole, "\x00") || !utf8.ValidString(whole) {
		return "" // it is no text, which is what is wrong with it
	}
	around, at := window(whole, column-1)
	shown := []rune(visible(strings.ReplaceAll(around, "\t", " ")))
	if at >= len(shown) {
		return ""
	}
	width := max(1, utf8.RuneCountInString(text))
	if shown[at] == '"' && text != "" {
		width += 2
	}
	width = max(1, min(width, len(shown)-at))
	return fmt.Sprintf("%5d | %s\n      | %s%s\n", line, string(shown), strings.Repeat(" ", at), strings.Repeat("^", width))
}

// window gives up to excerptWidth characters of a line, and where among them its
// n-th is. A line may be as long as a policy: no more of it is looked at closely.
func window(line string, n int) (around string, at int) {
	if n > excerptWidth/2 && utf8.RuneCountInString(line) > excerptWidth {
		line, n = line[offset(line, n-excerptWidth/2):], excerptWidth/2
	}
	return line[:offset(line, excerptWidth)], n
}

// offset gives where the n-th character of a text begins, from 0, in bytes: its
// end, if it has fewer.
func offset(text string, n int) int {
	for at := range text {
		if n == 0 {
			return at
		}
		n--
	}
	return len(text)
}
