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
	if line < 1 || line > len(lines) {
		return ""
	}
	shown := []rune(visible(strings.ReplaceAll(strings.TrimSuffix(lines[line-1], "\r"), "\t", " ")))
	if column < 1 || column > len(shown) {
		return ""
	}
	width := max(1, utf8.RuneCountInString(text))
	if shown[column-1] == '"' && text != "" {
		width += 2
	}
	at := column - 1
	width = min(width, len(shown)-at)
	if from := at - excerptWidth/2; from > 0 && len(shown) > excerptWidth {
		shown, at = shown[from:], at-from
	}
	shown = shown[:min(len(shown), excerptWidth)]
	width = max(1, min(width, len(shown)-at))
	return fmt.Sprintf("%5d | %s\n      | %s%s\n", line, string(shown), strings.Repeat(" ", at), strings.Repeat("^", width))
}
