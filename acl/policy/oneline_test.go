package policy_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/cordonmesh/cordon/acl/policy"
)

// oneLine is a policy of n rules with ids in a single line, as a program writes it.
func oneLine(n int, dst string) string {
	return `{"hosts": {"ü": "10.0.0.1"}, "acls": [` +
		many(n, `{"id":"r%d","action":"accept","src":["ä@h.example"],"dst":["`+dst+`:22"]},`) + `]}`
}

// In one line too each mistake is told at its character, in whatever order the
// parser comes to it.
func TestPlacesInOneLine(t *testing.T) {
	src := oneLine(10, "nowhere")
	_, _, err := policy.Options{}.Parse("p", []byte(src))
	var all policy.Errors
	if !errors.As(err, &all) || len(all) < 10 {
		t.Fatalf("errors %v", err)
	}
	for _, e := range all {
		at := column(src, e.Pos.Column)
		if e.Pos.Line != 1 || !strings.HasPrefix(at, fmt.Sprintf("%q", e.Text)) && !strings.HasPrefix(at, e.Text) {
			t.Errorf("%v stands at %.30q", e, at)
		}
	}
}

// column gives what stands in a line from a column on, in characters from 1.
func column(line string, n int) string {
	for range n - 1 {
		_, size := utf8.DecodeRuneInString(line)
		line = line[size:]
	}
	return line
}

// What a rule costs is the same in a short file and in one long line.
func BenchmarkOneLine(b *testing.B) {
	for _, n := range []int{100, 1000, 9999} {
		src := []byte(strings.Replace(oneLine(n, "ü"), "{", "{/*"+strings.Repeat("-", 200*n)+"*/", 1))
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				if _, _, err := (policy.Options{Domains: []string{"h.example"}}).Parse("p", src); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/rule")
		})
	}
}
