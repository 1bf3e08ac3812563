// Command cordonctl operates a mesh: tokens, nodes, routes, policy, audit.
package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"strings"

	"connectrpc.com/connect"
	"github.com/urfave/cli/v2"

	"github.com/cordonmesh/cordon/cmd/internal/usage"
	"github.com/cordonmesh/cordon/coordinator/admin"
)

var version = "dev" // set by the linker

func main() { os.Exit(usage.Main(app(), os.Args, plain)) }

func app() *cli.App {
	a := &cli.App{
		Name: "cordonctl", Usage: "operate a Cordon mesh", Version: version,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "socket", Usage: "admin socket of the coordinator on this machine: `PATH`", Value: "/var/lib/cordon-coordinator/admin.sock", EnvVars: []string{"CORDON_ADMIN_SOCKET"}},
			&cli.StringFlag{Name: "credential-file", Usage: "`FILE` with an admin credential, to operate a coordinator elsewhere", EnvVars: []string{"CORDON_CREDENTIAL_FILE"}},
			&cli.BoolFlag{Name: "json", Usage: "print JSON"},
		},
		Commands: []*cli.Command{
			{Name: "status", Usage: "how the mesh stands", Action: with(status)},
			{Name: "warnings", Usage: "what lapses within 30 days, and rights that nobody stands by; what to do about it", Action: with(warnings)},
			tokenCommands(), nodeCommands(), userCommands(), sessionCommands(), roleCommands(), routeCommands(), policyCommands(), auditCommands(),
		},
	}
	a.Commands = append(a.Commands, loginCommands()...)
	usage.AcceptJSON(a.Commands)
	return a
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
	if path == "" && !c.IsSet("socket") {
		path = sessionAt(c.String("socket"))
	}
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

// sessionAt gives the file of an admin session, if there is one and no coordinator
// is on this machine.
func sessionAt(socket string) string {
	path, err := sessionFile()
	if err != nil {
		return ""
	}
	if _, err := os.Stat(socket); err == nil {
		return ""
	}
	if _, err := os.Stat(path); err != nil {
		return ""
	}
	return path
}

// plain gives an answer's words without its code, and says what to do when
// nobody answers.
func plain(err error) error {
	var answer *connect.Error
	if !errors.As(err, &answer) {
		return err
	}
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("may not open the admin socket: run as root or as the coordinator's user, or bring a --credential-file (%s)", answer.Message())
	}
	if answer.Code() == connect.CodeUnavailable && strings.Contains(answer.Message(), "dial") {
		return fmt.Errorf("no coordinator answers: is it running here, and is --socket right? (%s)", answer.Message())
	}
	if broken(err) {
		return fmt.Errorf("the coordinator went away before it answered (%s)", answer.Message())
	}
	return errors.New(answer.Message())
}

// broken tells whether a connection ended before the answer: nobody knows then whether
// the coordinator did what it was asked.
func broken(err error) bool {
	var of *net.OpError
	return errors.As(err, &of) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

func status(c *cli.Context, api *admin.Client) error {
	resp, err := api.Status(c.Context, connect.NewRequest(&admin.StatusRequest{}))
	if err != nil {
		return err
	}
	s := resp.Msg
	if usage.WantsJSON(c) {
		return printJSON(s)
	}
	fmt.Printf("mesh %s at revision %d (incarnation %d, epoch %d), policy of revision %d\n", s.Mesh, s.Revision, s.Incarnation, s.Epoch, s.PolicyRevision)
	if s.PolicyUntil != 0 {
		fmt.Printf("the policy awaits `cordonctl policy confirm`: the one before comes back at %s\n", moment(s.PolicyUntil))
	}
	if s.ProviderProblem != "" {
		fmt.Printf("the provider cannot be asked for those who are signed in (nobody is signed out for that): %s\n", s.ProviderProblem)
	}
	if s.Warnings > 0 {
		fmt.Printf("%s to look at: `cordonctl warnings`\n", count(int(s.Warnings), "warning"))
	}
	fmt.Printf("%d nodes, %d connected, %d of them up to date\ncoordinator %s\n", s.Nodes, s.Connected, s.Acknowledged, s.Version)
	return nil
}
