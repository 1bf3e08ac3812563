package main

import (
	"strings"
	"testing"
)

func TestExcerptMarksThePlace(t *testing.T) {
	long := strings.Repeat("x", 200) + `"tag:ehr"` + strings.Repeat("y", 200)
	for _, c := range []struct {
		name, source string
		line, column int
		text, want   string
	}{
		{"a text with its quotes", "{\n\t\"src\": [\"a@h\"],\r\n}", 2, 10, "a@h", "    2 |  \"src\": [\"a@h\"],\n      |          ^^^^^\n"},
		{"no text there", "{}", 1, 2, "", "    1 | {}\n      |  ^\n"},
		{"characters, not bytes", `"ä": "ö"`, 1, 6, "ö", "    1 | \"ä\": \"ö\"\n      |      ^^^\n"},
		{"what turns a terminal around", "\"a\x1b[2J\u202eb\"", 1, 1, "x", "    1 | \"a?[2J?b\"\n      | ^^^\n"},
		{"a mark ends with its line", `"ab`, 1, 1, strings.Repeat("z", 500), "    1 | \"ab\n      | ^^^\n"},
		{"no such line", "{}", 2, 1, "", ""},
		{"no such column", "{}", 1, 9, "", ""},
		{"nothing known", "", 0, 0, "", ""},
		{"no text", "{}\n\x00\x00", 2, 1, "", ""},
		{"no characters", "{}\n\xff\xfe", 2, 1, "", ""},
	} {
		if got := excerpt(c.source, c.line, c.column, c.text); got != c.want {
			t.Errorf("%s:\n%s\nwant\n%s", c.name, got, c.want)
		}
	}
	got := strings.Split(excerpt(long, 1, 201, "tag:ehr"), "\n")
	if mark := strings.Index(got[1], "^"); len(got[0]) > 8+excerptWidth || mark < 0 || !strings.HasPrefix(got[0][mark:], `"tag:ehr"`) {
		t.Errorf("a long line:\n%s\n%s", got[0], got[1])
	}
}
