package usage

import (
	"strings"
	"testing"

	"github.com/urfave/cli/v2"
)

// Where flags stand cannot be asked from outside without running a program; the
// scripts in integration do that.
func TestReorder(t *testing.T) {
	app := &cli.App{
		Flags: []cli.Flag{&cli.StringFlag{Name: "socket"}, &cli.BoolFlag{Name: "json"}},
		Commands: []*cli.Command{
			{Name: "status"},
			{Name: "policy", Subcommands: []*cli.Command{{Name: "set", Flags: []cli.Flag{
				&cli.Uint64Flag{Name: "from"}, &cli.BoolFlag{Name: "yes", Aliases: []string{"y"}}, &cli.BoolFlag{Name: "json"},
			}}}},
		},
	}
	for in, want := range map[string]string{
		"":                                         "",
		"status":                                   "status",
		"status --socket x":                        "--socket x status",
		"--json status":                            "--json status",
		"status --json":                            "--json status",
		"policy set FILE --from 3 --yes":           "policy set --from 3 --yes FILE",
		"policy set FILE --from=3 -y":              "policy set --from=3 -y FILE",
		"policy --socket x set - --json":           "--socket x policy set --json -",
		"policy set --yes FILE --socket=x":         "--socket=x policy set --yes FILE",
		"policy set FILE --nope":                   "policy set --nope FILE",
		"policy set FILE --from":                   "policy set --from FILE",
		"policy set -- --yes":                      "policy set -- --yes",
		"policy set set":                           "policy set set",
		"nope status --json":                       "--json nope status",
		"policy set --from 3 -- FILE --json --yes": "policy set --from 3 -- FILE --json --yes",
	} {
		got := reorder(app, append([]string{"program"}, strings.Fields(in)...))
		if got[0] != "program" || strings.Join(got[1:], " ") != want {
			t.Errorf("%q becomes %q, want %q", in, strings.Join(got[1:], " "), want)
		}
	}
}
