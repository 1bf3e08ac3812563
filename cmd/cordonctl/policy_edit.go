package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"connectrpc.com/connect"
	"github.com/urfave/cli/v2"

	"github.com/cordonmesh/cordon/cmd/internal/editor"
	"github.com/cordonmesh/cordon/cmd/internal/usage"
	"github.com/cordonmesh/cordon/coordinator/admin"
)

func editCommand() *cli.Command {
	return &cli.Command{
		Name: "edit", Usage: "edit the policy in force, in $VISUAL or $EDITOR", Action: with(editPolicy),
		Description: "What is saved is checked, tested and shown as by `policy set`, and may be edited again. An unchanged text does\n" +
			"nothing. Until it is in force, the draft stays where the command says.",
		Flags: []cli.Flag{&cli.BoolFlag{Name: "yes", Usage: "do not ask"}, confirmFlag()},
	}
}

// policyFile is what a draft, and messages about it, are called.
const policyFile = "policy.hujson"

func editPolicy(c *cli.Context, api *admin.Client) error {
	began, err := api.GetPolicy(c.Context, connect.NewRequest(&admin.GetPolicyRequest{}))
	if err != nil {
		return err
	}
	if began.Msg.Until != 0 {
		return fmt.Errorf("the policy of revision %d awaits confirmation until %s: `cordonctl policy confirm` or `policy rollback` comes first", began.Msg.Revision, moment(began.Msg.Until))
	}
	draft, err := editor.NewDraft(policyFile, began.Msg.Text)
	if err != nil {
		return err
	}
	e := edit{api: api, name: policyFile, path: draft.Path(), from: began.Msg.Revision, yes: c.Bool("yes"), json: usage.WantsJSON(c), within: c.Duration("confirm-within")}
	if err := e.checkWithin(c); err != nil {
		return errors.Join(err, draft.Remove())
	}
	return leave(draft, began.Msg.Text, e.onward(e.interactively(c, draft, began.Msg.Text)))
}

// onward adds how to go on with a draft when the coordinator could not be asked: what it
// was based on is known here alone.
func (e *edit) onward(err error) error {
	if connect.CodeOf(err) != connect.CodeUnavailable && !broken(err) {
		return err
	}
	return fmt.Errorf("%w; when it answers again, `cordonctl policy set --from %d %s` goes on", plain(err), e.from, e.path)
}

// leave keeps a draft that holds something which is not in force, and says where. One
// that nobody changed is no draft of anybody's.
func leave(draft *editor.Draft, began string, err error) error {
	if err == nil {
		return draft.Remove()
	}
	text, readErr := os.ReadFile(draft.Path())
	switch {
	case errors.Is(readErr, fs.ErrNotExist):
		return errors.Join(errors.New("nothing was changed: the editor took the draft away"), draft.Remove())
	case readErr == nil && string(text) == began:
		return errors.Join(plain(err), draft.Remove())
	}
	return fmt.Errorf("%w; your draft stays in %s", plain(err), draft.Path())
}

// unixLines gives a text with the ends of lines that all systems but Windows write.
func unixLines(text string) string { return strings.ReplaceAll(text, "\r\n", "\n") }

// interactively has a person edit until the text is in force, is as it was, or
// they give up, which is an error.
func (e *edit) interactively(c *cli.Context, draft *editor.Draft, began string) error {
	for {
		if err := draft.Edit(); err != nil {
			return err
		}
		text, _, err := readPolicy(draft.Path())
		if err != nil {
			return err
		}
		if !strings.Contains(began, "\r\n") {
			text = unixLines(text) // an editor on Windows would else change every line
		}
		if e.text = text; text == began {
			fmt.Fprintln(os.Stderr, "nothing was changed (an editor with a window of its own must be told to wait, as in VISUAL='code --wait')")
			return nil
		}
		tried, err := e.try(c)
		if err == nil {
			if err = e.ask(); err == nil {
				return e.put(c, tried)
			}
		}
		if !e.again(err) {
			return err
		}
	}
}

// again asks whether to edit once more. What is wrong with the text was shown,
// and a coordinator that cannot be asked is not mended by another text.
func (e *edit) again(err error) bool {
	var answer *connect.Error
	if errors.As(err, &answer) && answer.Code() != connect.CodeInvalidArgument {
		return false
	}
	return !e.yes && e.canAsk() && agreed("edit it again?")
}
