package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/cordonmesh/cordon/coordinator/admin"
)

// printJSON prints a message as the admin API speaks it.
func printJSON(m proto.Message) error {
	b, err := protojson.MarshalOptions{Multiline: true, EmitUnpopulated: true}.Marshal(m)
	if err != nil {
		return err
	}
	_, err = os.Stdout.Write(append(b, '\n'))
	return err
}

// table prints rows under a heading, in columns.
func table(heading string, rows [][]string) error {
	w := tabwriter.NewWriter(os.Stdout, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, strings.ReplaceAll(heading, " ", "\t"))
	for _, r := range rows {
		for i := range r {
			r[i] = visible(r[i])
		}
		fmt.Fprintln(w, strings.Join(r, "\t"))
	}
	return w.Flush()
}

// details prints what is known of one thing, a line for each.
func details(w io.Writer, rows [][2]string) {
	width := 0
	for _, row := range rows {
		width = max(width, len(row[0]))
	}
	for _, row := range rows {
		fmt.Fprintf(w, "%-*s  %s\n", width, row[0], visible(row[1]))
	}
}

// visible keeps a name that somebody else chose from moving the cursor, turning
// the line around, or pretending to be another row.
func visible(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, text)
}

func moment(seconds int64) string {
	if seconds == 0 {
		return "never"
	}
	return time.Unix(seconds, 0).Local().Format("2006-01-02 15:04:05")
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// count gives "1 test", "2 tests".
func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

// printProblems prints what is wrong with a policy as compilers do: a line each,
// and below it the place in the source, which may be unknown.
func printProblems(problems []*admin.Problem, source string) {
	fmt.Fprint(os.Stderr, problemsText(problems, source))
}

func problemsText(problems []*admin.Problem, source string) string {
	var out strings.Builder
	for _, p := range problems {
		kind := "error"
		if p.Warning {
			kind = "warning"
		}
		fmt.Fprintf(&out, "%s:%d:%d: %s: %s", visible(p.File), p.Line, p.Column, kind, visible(p.Message))
		if p.Text != "" {
			around, _ := window(p.Text, 0) // somebody may have pasted a whole file there
			fmt.Fprintf(&out, " (%q)", around)
		}
		if p.Hint != "" {
			fmt.Fprintf(&out, "; %s", visible(p.Hint))
		}
		fmt.Fprint(&out, "\n", excerpt(source, int(p.Line), int(p.Column), p.Text))
	}
	return out.String()
}
