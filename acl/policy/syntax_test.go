package policy_test

import (
	"strings"
	"testing"

	"github.com/cordonmesh/cordon/acl/policy"
)

// A comment in the last line need not end it: that is how editors leave files. Everything
// stands where it did, and the canonical form ends its lines.
func TestACommentEndsTheFile(t *testing.T) {
	for src, want := range map[string]string{
		`{"grants": []} // the end`:    "{\n\t\"grants\": [],\n} // the end\n",
		"{\"grants\": []}\n// the end": "{\n\t\"grants\": [],\n}\n// the end\n",
		"{\"grants\": []}\n//":         "{\n\t\"grants\": [],\n}\n//\n",
	} {
		if _, _, err := policy.Parse("p", []byte(src)); err != nil {
			t.Errorf("%q: %v", src, err)
		}
		formatted, err := policy.Format("p", []byte(src))
		if err != nil || string(formatted) != want {
			t.Errorf("%q becomes %q, want %q: %v", src, formatted, want, err)
		}
	}
	for src, want := range map[string]string{
		`{"grnts": []} // the end`: `p:1:2: "grnts": unknown key`,
		`{"grants": [] // the end`: "p:1:25: not HuJSON: ",
		`// the end`:               "not HuJSON: ",
		`{} // a` + "\u2028" + `b`: "not HuJSON: ", // a line ends there too, to some
		`{} /* the end`:            "not HuJSON: ",
	} {
		if _, _, err := policy.Parse("p", []byte(src)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", src, err, want)
		}
	}
}

// A file that is no text says what it looks like.
func TestNoText(t *testing.T) {
	for src, want := range map[string]string{
		"\xff\xfe{\x00}\x00":          "p:1:1: the file is UTF-16, as PowerShell's > writes it, and Notepad by the name of Unicode; save it as UTF-8",
		"\xfe\xff\x00{\x00}":          "p:1:1: the file is UTF-16, ",
		"{\x00}\x00":                  "p:1:1: the file is UTF-16 without its mark; save it as UTF-8",
		"\x00{\x00}":                  "p:1:1: the file is UTF-16 without its mark; save it as UTF-8",
		"{\n}\n\x00\x00\x00":          "p:3:1: the file ends in 3 NUL bytes, as it may after a loss of power; take them out",
		"{\"groups\": \x00 {}}":       "p:1:12: not HuJSON: holds a NUL byte, which no text does; look whether this is the right file",
		"\x7fELF\x02\x01\x00\x00\x01": "p:1:7: not HuJSON: holds a NUL byte",
		"\x7fELF\x02\x01\x00\xff":     "p:1:7: not HuJSON: holds a NUL byte",
		"{\x00}\x00\xe4\x00":          "p:1:1: the file is UTF-16 without its mark; save it as UTF-8",
		"PK\x03\x04\xff":              "p:1:5: the file is not UTF-8 here",
	} {
		if _, _, err := policy.Parse("p", []byte(src)); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: %v, want %s", src, err, want)
		}
	}
}
