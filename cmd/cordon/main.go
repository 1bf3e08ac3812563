// Command cordon is a node's daemon, and its user's tool.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/urfave/cli/v2"

	"github.com/cordonmesh/cordon/node"
	"github.com/cordonmesh/cordon/node/local"
)

var version = "dev" // set by the linker

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := app().RunContext(ctx, os.Args); err != nil {
		fmt.Fprintln(os.Stderr, "cordon:", err)
		stop()
		os.Exit(1)
	}
}

func app() *cli.App {
	a := &cli.App{
		Name: "cordon", Usage: "this machine's part in a Cordon mesh", Version: version, HideHelpCommand: true,
		ExitErrHandler: func(*cli.Context, error) {}, // errors are printed once, by main
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "socket", Usage: "socket of the daemon: `PATH`", Value: node.DefaultSocket(), EnvVars: []string{"CORDON_SOCKET"}},
			&cli.BoolFlag{Name: "json", Usage: "print JSON"},
		},
		Commands: []*cli.Command{
			daemonCommand(),
			{Name: "up", Usage: "join a mesh, or start again after down; the enrolment string comes from standard input, a file or a prompt", Action: up, Flags: []cli.Flag{
				&cli.StringFlag{Name: "enrolment-file", Usage: "`FILE` with the enrolment string"},
				&cli.StringFlag{Name: "name", Usage: "`NAME` of this machine in the mesh (default: its host name)"},
			}},
			{Name: "down", Usage: "stop tunnels; the identity stays", Action: down},
			{Name: "status", Usage: "what the daemon is doing", Action: status},
			{Name: "ping", Usage: "probe the path to a peer", ArgsUsage: "PEER", Action: ping, Flags: []cli.Flag{
				&cli.IntFlag{Name: "count", Usage: "how often", Value: 3},
			}},
			{Name: "explain", Usage: "what this node's filter says of a flow", ArgsUsage: "[SRC] DST:PORT", Action: explain, Flags: []cli.Flag{
				&cli.StringFlag{Name: "protocol", Usage: "tcp, udp or icmp", Value: "tcp"},
			}},
			{Name: "version", Usage: "versions of tool and daemon", Action: versions},
		},
	}
	for _, c := range a.Commands {
		if c.Name != "daemon" {
			c.Flags = append(c.Flags, &cli.BoolFlag{Name: "json", Usage: "print JSON"})
		}
	}
	return a
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

// daemon gives a client of the daemon that --socket names.
func daemon(c *cli.Context) *local.Client { return local.NewClient(c.String("socket")) }

func printJSON(v any) error {
	e := json.NewEncoder(os.Stdout)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
