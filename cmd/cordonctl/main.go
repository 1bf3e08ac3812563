// Command cordonctl operates a mesh: tokens, nodes, routes, policy, audit.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"connectrpc.com/connect"
	"github.com/urfave/cli/v2"

	"github.com/cordonmesh/cordon/coordinator/admin"
)

var version = "dev" // set by the linker

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := app().RunContext(ctx, os.Args); err != nil {
		fmt.Fprintln(os.Stderr, "cordonctl:", plain(err))
		stop()
		os.Exit(1)
	}
}

func app() *cli.App {
	a := &cli.App{
		Name: "cordonctl", Usage: "operate a Cordon mesh", Version: version, HideHelpCommand: true,
		ExitErrHandler: func(*cli.Context, error) {}, // errors are printed once, by main
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "socket", Usage: "admin socket of the coordinator on this machine: `PATH`", Value: "/var/lib/cordon-coordinator/admin.sock", EnvVars: []string{"CORDON_ADMIN_SOCKET"}},
			&cli.StringFlag{Name: "credential-file", Usage: "`FILE` with an admin credential, to operate a coordinator elsewhere", EnvVars: []string{"CORDON_CREDENTIAL_FILE"}},
			&cli.BoolFlag{Name: "json", Usage: "print JSON"},
		},
		Commands: []*cli.Command{
			{Name: "status", Usage: "how the mesh stands", Action: with(status)},
			tokenCommands(), nodeCommands(), routeCommands(), policyCommands(), auditCommands(),
		},
	}
	acceptJSON(a.Commands)
	return a
}

// acceptJSON lets --json stand behind the command too, where people put it.
func acceptJSON(commands []*cli.Command) {
	for _, c := range commands {
		if len(c.Subcommands) == 0 {
			c.Flags = append(c.Flags, &cli.BoolFlag{Name: "json", Usage: "print JSON"})
		}
		acceptJSON(c.Subcommands)
	}
}

// wantsJSON tells whether --json was given, before or behind the command.
func wantsJSON(c *cli.Context) bool {
	for _, level := range c.Lineage() {
		if level.Bool("json") {
			return true
		}
	}
	return false
}

// action is a command that asks the coordinator.
type action func(c *cli.Context, api *admin.Client) error

// with opens the door that the flags name, and calls f.
func with(f action) cli.ActionFunc {
	return func(c *cli.Context) error {
		api, err := door(c)
		if err != nil {
			return err
		}
		defer api.Close()
		return f(c, api)
	}
}

func door(c *cli.Context) (*admin.Client, error) {
	path := c.String("credential-file")
	if path == "" {
		return admin.NewSocketClient(c.String("socket")), nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("credential-file: %w", err)
	}
	credential, err := admin.ParseCredential(string(text))
	if err != nil {
		return nil, fmt.Errorf("credential-file %s: %w", path, err)
	}
	return admin.NewTLSClient(credential), nil
}

// args gives exactly the arguments that a command wants.
func args(c *cli.Context, want ...string) ([]string, error) {
	for _, a := range c.Args().Slice() {
		if len(a) > 1 && a[0] == '-' {
			return nil, fmt.Errorf("put %s before the arguments", a)
		}
	}
	if c.NArg() != len(want) {
		return nil, fmt.Errorf("want %s; see --help", strings.Join(want, " "))
	}
	return c.Args().Slice(), nil
}

// plain gives an answer's words without its code, and says what to do when
// nobody answers.
func plain(err error) error {
	var answer *connect.Error
	if !errors.As(err, &answer) {
		return err
	}
	if answer.Code() == connect.CodeUnavailable && strings.Contains(answer.Message(), "dial") {
		return fmt.Errorf("no coordinator answers: is it running here, and is --socket right? (%s)", answer.Message())
	}
	return errors.New(answer.Message())
}

func status(c *cli.Context, api *admin.Client) error {
	resp, err := api.Status(c.Context, connect.NewRequest(&admin.StatusRequest{}))
	if err != nil {
		return err
	}
	s := resp.Msg
	if wantsJSON(c) {
		return printJSON(s)
	}
	fmt.Printf("mesh %s at revision %d (incarnation %d, epoch %d), policy of revision %d\n", s.Mesh, s.Revision, s.Incarnation, s.Epoch, s.PolicyRevision)
	fmt.Printf("%d nodes, %d connected, %d of them up to date\ncoordinator %s\n", s.Nodes, s.Connected, s.Acknowledged, s.Version)
	return nil
}
