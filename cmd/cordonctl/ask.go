package main

import (
	"errors"
	"fmt"
	"os"
	"os/signal"

	"connectrpc.com/connect"
	"github.com/urfave/cli/v2"
	"golang.org/x/term"

	"github.com/cordonmesh/cordon/coordinator/admin"
)

// errUnchanged is what somebody is told who was asked and did not agree.
var errUnchanged = errors.New("nothing was changed")

// noTerminal says that nobody could be asked, and what to do instead.
func noTerminal(instead string) error {
	return fmt.Errorf("%w: there is no terminal to ask on; %s", errUnchanged, instead)
}

func onTerminal() bool { return term.IsTerminal(int(os.Stdin.Fd())) }

// awaiting tells whoever sits at a terminal that standard input is read: else the program
// seems to hang.
func awaiting(what string) {
	if onTerminal() {
		fmt.Fprintf(os.Stderr, "reading %s from standard input, to its end (Ctrl-D on a line of its own)\n", what)
	}
}

// agreed asks a question on the terminal. Whatever is no yes is a no. From here on
// an interrupt ends the program at once: nothing has happened yet.
func agreed(question string) bool {
	signal.Reset(os.Interrupt)
	fmt.Fprintf(os.Stderr, "%s [y/N] ", question)
	var answer string
	fmt.Scanln(&answer)
	return answer == "y" || answer == "yes"
}

func unasked() cli.Flag { return &cli.BoolFlag{Name: "yes", Usage: "do not ask"} }

// forGood shows on a terminal whom a word would take away for good, asks, and gives that
// node's id. A script, and a hand that must be quick, is not asked: what it says is meant.
func forGood(c *cli.Context, api *admin.Client, node, what string) (string, error) {
	if c.Bool("yes") || !onTerminal() {
		return node, nil
	}
	resp, err := api.GetNode(c.Context, connect.NewRequest(&admin.GetNodeRequest{Node: node}))
	if err != nil {
		return "", err
	}
	details(os.Stderr, applicant(resp.Msg.Node))
	if !agreed(what + "? Its key never comes back") {
		return "", errUnchanged
	}
	return resp.Msg.Node.Id, nil
}
