package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"connectrpc.com/connect"
	"github.com/rogpeppe/go-internal/diff"
	"github.com/urfave/cli/v2"

	"github.com/cordonmesh/cordon/cmd/internal/usage"
	"github.com/cordonmesh/cordon/coordinator/admin"
)

func setCommand() *cli.Command {
	return &cli.Command{
		Name: "set", Usage: "put a policy in force; - reads standard input", ArgsUsage: "FILE", Action: with(setPolicy),
		Description: "Runs the policy's own tests on the real nodes, shows who gains and who loses reach to what, and asks. What was\n" +
			"shown is what is done: if somebody else changes the policy meanwhile, nothing happens. With --yes nobody looks: then\n" +
			"somebody else's policy is replaced only by an edit that says it began there, by --from or by the last line that\n" +
			"`policy get --with-revision` writes.",
		Flags: []cli.Flag{
			&cli.Uint64Flag{Name: "from", Usage: "refuse if the policy in force is not that of this `REVISION`, which the edit started from"},
			&cli.BoolFlag{Name: "yes", Usage: "do not ask; replaces nobody else's policy without --from"},
			confirmFlag(),
		},
	}
}

func setPolicy(c *cli.Context, api *admin.Client) error {
	path, text, name, err := policyArgument(c)
	if err != nil {
		return err
	}
	e := edit{api: api, text: text, name: name, path: path, from: c.Uint64("from"), yes: c.Bool("yes"), json: usage.WantsJSON(c), within: c.Duration("confirm-within")}
	if err := e.checkWithin(c); err != nil {
		return err
	}
	e.base()
	return e.set(c)
}

// edit is a policy on its way into force.
type edit struct {
	api        *admin.Client
	text, name string
	path       string // where the text is
	from       uint64 // revision that it started from; 0: nobody says
	marked     bool   // the file says it
	yes        bool   // nobody need be asked
	json       bool
	within     time.Duration // for somebody to confirm it in; 0: it stays
}

// checkWithin keeps what is no whole second from being rounded to none.
func (e *edit) checkWithin(c *cli.Context) error {
	if c.IsSet("confirm-within") && (e.within < time.Second || e.within%time.Second != 0) {
		return usage.Bad("confirm-within", e.within.String(), "whole seconds, 1s to 168h")
	}
	return nil
}

// set tries the edit, shows what it would do, asks, and puts it in force.
func (e *edit) set(c *cli.Context) error {
	tried, err := e.try(c)
	if err != nil {
		return err
	}
	if tried.Changed {
		if err := e.unseen(c, tried.Revision); err != nil {
			return err
		}
		if err := e.ask(); err != nil {
			return err
		}
	}
	return e.put(c, tried)
}

// try has the edit checked and tested, and shows what it would do.
func (e *edit) try(c *cli.Context) (*admin.SetPolicyResponse, error) {
	if err := sendable(e.name, e.text); err != nil {
		return nil, err
	}
	tried, err := e.send(c, true)
	if err != nil {
		return nil, err
	}
	printProblems(tried.Problems, e.text)
	if tried.Changed && !e.json {
		printDiff(os.Stdout, receivedDiff(tried.Diff))
	}
	return tried, nil
}

// put puts in force what was tried, if what is in force is still what it was
// tried against.
func (e *edit) put(c *cli.Context, tried *admin.SetPolicyResponse) error {
	done := tried
	if tried.Changed {
		var err error
		e.from = tried.Revision
		if done, err = e.send(c, false); err != nil {
			return err
		}
		done.Diff = tried.Diff
	}
	if err := e.rebase(done.Revision); err != nil {
		return fmt.Errorf("the policy is in force, as revision %d, but its file still says another: %w", done.Revision, err)
	}
	switch {
	case e.json:
		return printJSON(done)
	case !tried.Changed:
		fmt.Printf("this policy is in force already, since revision %d\n", tried.Revision)
	default:
		fmt.Printf("the policy is in force, as revision %d\n", done.Revision)
		if done.Until != 0 {
			fmt.Printf("the one before comes back at %s, unless `cordonctl policy confirm` comes first\n", moment(done.Until))
		}
	}
	return nil
}

// send has the coordinator try the edit, or put it in force.
func (e *edit) send(c *cli.Context, dry bool) (*admin.SetPolicyResponse, error) {
	resp, err := e.api.SetPolicy(c.Context, connect.NewRequest(&admin.SetPolicyRequest{Text: e.text, ExpectedRevision: e.from, File: e.name, DryRun: dry, ConfirmWithin: int64(e.within / time.Second)}))
	if err == nil {
		return resp.Msg, nil
	}
	printProblems(admin.Problems(err), e.text)
	if connect.CodeOf(err) == connect.CodeAborted {
		e.stale(c, os.Stderr)
	}
	return nil, err
}

// ask asks whether to go on; nil means yes.
func (e *edit) ask() error {
	switch {
	case e.yes:
		return nil
	case !e.canAsk():
		return noTerminal("look at `cordonctl policy diff FILE`, then add --yes")
	case !agreed(fmt.Sprintf("put %s in force?", e.name)):
		return errUnchanged
	}
	return nil
}

func (e *edit) canAsk() bool { return e.path != "-" && onTerminal() }

// stale shows what somebody else changed since the edit started, and says how to
// go on. It overwrites nothing.
func (e *edit) stale(c *cli.Context, w io.Writer) {
	now, err := e.api.GetPolicy(c.Context, connect.NewRequest(&admin.GetPolicyRequest{}))
	if err != nil {
		return // the refusal says enough
	}
	began, err := e.api.GetPolicy(c.Context, connect.NewRequest(&admin.GetPolicyRequest{Revision: e.from}))
	if err != nil || began.Msg.Revision != e.from {
		fmt.Fprintf(w, "the policy of revision %d is not kept any more: compare your edit with `cordonctl policy get`\n", e.from)
	} else {
		fmt.Fprintf(w, "%s changed the policy at %s; since you began:\n", visible(now.Msg.Author), moment(now.Msg.Time))
		printTexts(w, began.Msg, now.Msg)
	}
	fmt.Fprintf(w, "your edit is as it was. To go on: bring these changes into it, then `cordonctl policy set --from %d %s`\n", now.Msg.Revision, e.path)
}

// printTexts shows the lines in which two policies differ.
func printTexts(w io.Writer, a, b *admin.GetPolicyResponse) {
	name := func(p *admin.GetPolicyResponse) string { return fmt.Sprintf("revision %d", p.Revision) }
	lines := strings.SplitAfter(string(diff.Diff(name(a), []byte(unixLines(a.Text)), name(b), []byte(unixLines(b.Text)))), "\n")
	for i, line := range lines {
		if line = strings.TrimSuffix(line, "\n"); i > 0 && line != "" { // the first repeats the two names
			fmt.Fprintln(w, visible(strings.ReplaceAll(line, "\t", "    ")))
		}
	}
}
