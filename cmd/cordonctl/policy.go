package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"unicode/utf8"

	"connectrpc.com/connect"
	"github.com/urfave/cli/v2"

	"github.com/cordonmesh/cordon/acl/policy"
	"github.com/cordonmesh/cordon/acl/query"
	"github.com/cordonmesh/cordon/cmd/internal/memory"
	"github.com/cordonmesh/cordon/cmd/internal/usage"
	"github.com/cordonmesh/cordon/coordinator/admin"
)

const maxPolicy = 4 << 20

func policyCommands() *cli.Command {
	return &cli.Command{Name: "policy", Usage: "who may reach what", Subcommands: []*cli.Command{
		{Name: "get", Usage: "print the policy in force", Action: with(getPolicy), Flags: []cli.Flag{
			&cli.Uint64Flag{Name: "revision", Usage: "the one that was in force at `REVISION`"},
			&cli.BoolFlag{Name: "with-revision", Usage: "with a last line that has `policy set` refuse if somebody changed the policy since"},
		}},
		setCommand(),
		editCommand(),
		{Name: "confirm", Usage: "let a policy stay that was set with --confirm-within", Action: with(confirmPolicy), Flags: []cli.Flag{
			&cli.Uint64Flag{Name: "revision", Usage: "only if it is the policy of this `REVISION`"},
		}},
		{Name: "rollback", Usage: "put the policy before back, at once, instead of one that awaits confirmation", Action: with(rollBackPolicy)},
		{Name: "check", Usage: "say what is wrong with a policy file; needs no coordinator", ArgsUsage: "FILE", Action: checkPolicy},
		diffCommand(),
		{Name: "fmt", Usage: "print a policy file in canonical form; comments stay; needs no coordinator", ArgsUsage: "FILE", Action: formatPolicy, Flags: []cli.Flag{
			&cli.BoolFlag{Name: "write", Aliases: []string{"w"}, Usage: "write it back to the file"},
			&cli.BoolFlag{Name: "check", Usage: "fail if the file is not in canonical form, and print nothing"},
		}},
		{Name: "test", Usage: "run a policy's own tests on the real nodes (default: the policy in force)", ArgsUsage: "[FILE]", Action: with(testPolicy)},
		{Name: "explain", Usage: "which rule decides", ArgsUsage: "SRC DST:PORT", Action: with(explainPolicy), Flags: []cli.Flag{
			&cli.StringFlag{Name: "protocol", Usage: "tcp, udp, icmp, icmpv6, sctp or a number", Value: "tcp"},
			&cli.StringFlag{Name: "at", Usage: "at that `TIME` (2026-11-22T03:00-06:00) instead of now"},
			&cli.StringFlag{Name: "given", Usage: "suppose what a test of the policy may suppose: `JSON` such as '{\"mfaAge\": \"1h\", \"oncall\": [\"icu\"]}'"},
			&cli.StringFlag{Name: "as", Usage: "who sits at SRC, if that is a shared device: `WHO` is a login or a group"},
		}},
		importCommand(),
		{Name: "log", Usage: "who changed the policy, and to what effect on the nodes of today; latest first", Action: with(logPolicy), Flags: []cli.Flag{
			&cli.UintFlag{Name: "limit", Usage: "at most so many", Value: 10},
			&cli.Uint64Flag{Name: "before", Usage: "only what came before this `REVISION`, as the last line of a list names it"},
		}},
		{Name: "query", Usage: "answer question sets, one JSON object a line, from standard input to standard output; needs no coordinator", Action: queryPolicy},
		{Name: "reach", Usage: "the matrix of who can reach what", Action: with(reachPolicy), Flags: []cli.Flag{
			&cli.StringFlag{Name: "from", Usage: "only from `WHOM`: a node, tag, group, login, host or address"},
			&cli.StringFlag{Name: "to", Usage: "only to `WHOM`, likewise"},
			&cli.StringFlag{Name: "segment", Usage: "only into the segment `NAME`"},
			&cli.StringFlag{Name: "class", Usage: "only into segments with data of the `CLASS`, such as phi"},
		}},
	}}
}

func getPolicy(c *cli.Context, api *admin.Client) error {
	resp, err := api.GetPolicy(c.Context, connect.NewRequest(&admin.GetPolicyRequest{Revision: c.Uint64("revision")}))
	if err != nil {
		return err
	}
	if usage.WantsJSON(c) {
		return printJSON(resp.Msg)
	}
	if resp.Msg.Until != 0 {
		fmt.Fprintf(os.Stderr, "revision %d awaits `cordonctl policy confirm`: the policy before comes back at %s\n", resp.Msg.Revision, moment(resp.Msg.Until))
	}
	if len(resp.Msg.Problems) > 0 {
		fmt.Fprintf(os.Stderr, "this policy is obeyed as it stands, and would be refused today:\n")
		printProblems(resp.Msg.Problems, resp.Msg.Text)
	}
	text := resp.Msg.Text
	if c.Bool("with-revision") {
		text = marked(text, resp.Msg.Revision)
	}
	fmt.Print(text)
	return nil
}

// readPolicy gives a file's text and the name that messages call it by. The mark that
// some editors put before UTF-8 is no part of the text.
func readPolicy(path string) (text, name string, err error) {
	in, name := io.Reader(os.Stdin), "standard-input"
	if path == "-" {
		awaiting("a policy")
	} else {
		f, err := os.Open(path)
		if err != nil {
			return "", "", err
		}
		defer f.Close()
		in, name = f, filepath.Base(path)
	}
	b, err := io.ReadAll(io.LimitReader(in, maxPolicy+1))
	if errors.Is(err, syscall.EISDIR) {
		err = fmt.Errorf("%s is a directory: name the policy file in it", path)
	}
	if err == nil && len(b) > maxPolicy {
		err = fmt.Errorf("%s is larger than %d bytes", name, maxPolicy)
	}
	return strings.TrimPrefix(string(b), "\ufeff"), name, err
}

// sendable says what is wrong with a text that is not UTF-8, which no message can carry.
func sendable(name, text string) error {
	if utf8.ValidString(text) {
		return nil
	}
	_, problems, err := parsePolicy(name, text)
	printProblems(problems, text)
	return err
}

// queryGarbage is how much garbage questions may leave, in percent of what is in use: a
// batch is over soon, and a fourth of its time would go into collecting.
const queryGarbage = 400

func queryPolicy(c *cli.Context) error {
	if _, err := usage.Args(c); err != nil {
		return err
	}
	awaiting("questions, a JSON object a line,")
	memory.Collect(queryGarbage)
	return query.Serve(os.Stdin, c.App.Writer)
}

// policyArgument reads the file that is a command's one argument.
func policyArgument(c *cli.Context) (path, text, name string, err error) {
	a, err := usage.Args(c, "FILE")
	if err != nil {
		return "", "", "", err
	}
	text, name, err = readPolicy(a[0])
	return a[0], text, name, err
}

func formatPolicy(c *cli.Context) error {
	path, text, name, err := policyArgument(c)
	if err != nil {
		return err
	}
	formatted, err := policy.Format(name, []byte(text))
	switch {
	case err != nil:
		return err
	case c.Bool("check"):
		if string(formatted) != text {
			return fmt.Errorf("%s is not in canonical form: see `cordonctl policy fmt %s`", name, path)
		}
		return nil
	case c.Bool("write") && path == "-":
		return errors.New("standard input cannot be written back: leave --write out")
	case c.Bool("write"):
		return replaceFile(path, formatted)
	}
	_, err = c.App.Writer.Write(formatted)
	return err
}

func testPolicy(c *cli.Context, api *admin.Client) error {
	r := new(admin.TestPolicyRequest)
	if c.NArg() > 1 {
		return errors.New("want [FILE]: see `cordonctl policy test --help`")
	}
	if c.NArg() == 1 {
		text, name, err := readPolicy(c.Args().First())
		if err != nil {
			return err
		}
		r.Text, r.File = text, name
		if err := sendable(name, text); err != nil {
			return err
		}
	}
	resp, err := api.TestPolicy(c.Context, connect.NewRequest(r))
	if err != nil {
		printProblems(admin.Problems(err), r.Text)
		return err
	}
	if usage.WantsJSON(c) {
		if err := printJSON(resp.Msg); err != nil {
			return err
		}
	} else {
		fmt.Print(resultsText(resp.Msg.Results))
	}
	if !resp.Msg.Ok {
		return errors.New("a test failed")
	}
	return nil
}

func explainPolicy(c *cli.Context, api *admin.Client) error {
	a, err := usage.Args(c, "SRC", "DST:PORT")
	if err != nil {
		return err
	}
	host, port, err := explained(a[0], a[1])
	if err != nil {
		return err
	}
	question := &admin.ExplainPolicyRequest{Src: a[0], Dst: host, Protocol: c.String("protocol"), Port: uint32(port), Given: c.String("given"), As: c.String("as")}
	if text := c.String("at"); text != "" {
		at, err := momentOf(text)
		if err != nil {
			return err
		}
		question.At = at.Unix()
	}
	resp, err := api.ExplainPolicy(c.Context, connect.NewRequest(question))
	if err != nil {
		return err
	}
	if usage.WantsJSON(c) {
		return printJSON(resp.Msg)
	}
	printDerivation(resp.Msg)
	return nil
}

// printDerivation prints the verdict, who both ends are, and what each rule says.
func printDerivation(m *admin.ExplainPolicyResponse) {
	fmt.Println(visible(m.Reason))
	if m.Text != "" {
		fmt.Println("  ", visible(m.Text))
	}
	for _, end := range []struct {
		what  string
		lines []string
	}{{"from", m.Who}, {"to", m.Whom}} {
		for i, line := range end.lines {
			if i > 0 {
				end.what = ""
			}
			fmt.Printf("%-5s %s\n", end.what, visible(line))
		}
	}
	for _, r := range m.Considered {
		mark := "no"
		if r.Met {
			mark = "yes"
		}
		fmt.Printf("%-5s %q (%s:%d) %s\n", mark, r.Rule, visible(r.File), r.Line, visible(r.Why))
	}
	if m.Others > 0 {
		fmt.Printf("      %s less near\n", count(int(m.Others), "rule"))
	}
}

func reachPolicy(c *cli.Context, api *admin.Client) error {
	resp, err := api.ReachPolicy(c.Context, connect.NewRequest(&admin.ReachPolicyRequest{
		From: c.String("from"), To: c.String("to"), Segment: c.String("segment"), Class: c.String("class"),
	}))
	if err != nil {
		return err
	}
	if usage.WantsJSON(c) {
		return printJSON(resp.Msg)
	}
	fmt.Print(resp.Msg.Table)
	return nil
}
