// Command cordon is a node's daemon, and its user's tool.
package main

import (
	"os"
	"slices"

	"github.com/urfave/cli/v2"

	"github.com/cordonmesh/cordon/cmd/internal/usage"
	"github.com/cordonmesh/cordon/node"
	"github.com/cordonmesh/cordon/node/local"
)

var version = "dev" // set by the linker

func main() { os.Exit(usage.Main(app(), os.Args, nil)) }

func app() *cli.App {
	a := &cli.App{
		Name: "cordon", Usage: "this machine's part in a Cordon mesh", Version: version,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "socket", Usage: "socket of the daemon: `PATH`", Value: node.DefaultSocket(), EnvVars: []string{"CORDON_SOCKET"}},
			&cli.BoolFlag{Name: "json", Usage: "print JSON"},
		},
		Commands: slices.Concat([]*cli.Command{
			daemonCommand(),
			{Name: "up", Usage: "join a mesh, or start again after down; the enrolment string comes from standard input, a file or a prompt", ArgsUsage: " ", Action: up, Flags: []cli.Flag{
				&cli.StringFlag{Name: "enrolment-file", Usage: "`FILE` with the enrolment string"},
				&cli.StringFlag{Name: "coordinator", Usage: "join without an enrolment string, by signing in: `URL` of the coordinator"},
				&cli.StringFlag{Name: "fingerprint", Usage: "with --coordinator: `FINGERPRINT` of the mesh, from its admin (default: the coordinator's certificate for browsers vouches for it)"},
				&cli.StringFlag{Name: "name", Usage: "`NAME` of this machine in the mesh (default: its host name)"},
				&cli.BoolFlag{Name: "shared", Usage: "several people use this machine, a ward's workstation or a terminal server: each account signs in by itself, and has addresses of its own; kept until --shared=false; for a machine with a tag, on Linux"},
			}},
			{Name: "down", Usage: "stop tunnels; the identity stays", Action: down},
			{Name: "status", Usage: "what the daemon is doing", Action: status, Flags: []cli.Flag{
				&cli.BoolFlag{Name: "watch", Usage: "keep running, and print it again when it changes and ten and two minutes before something ends; with --json one object per line"},
				&cli.BoolFlag{Name: "notify", Usage: "with --watch: tell your desktop too of what ends, and of a sign-in that you are asked for"},
			}},
		}, sessionCommands(), []*cli.Command{
			{Name: "ping", Usage: "probe the path to a peer", ArgsUsage: "PEER", Action: ping, Flags: []cli.Flag{
				&cli.IntFlag{Name: "count", Usage: "how often", Value: 3},
			}},
			{Name: "explain", Usage: "what this node's filter says of a flow", ArgsUsage: "[SRC] DST:PORT", Action: explain, Flags: []cli.Flag{
				&cli.StringFlag{Name: "protocol", Usage: "tcp, udp, icmp, icmpv6, sctp or a number", Value: "tcp"},
			}},
			flowsCommand(),
			stockCommands(),
			{Name: "netcheck", Usage: "what works on this machine's network, what does not, and what to do about it", Action: netcheck},
			{Name: "dns-restore", Usage: "take out of /etc/resolv.conf what a killed daemon left there (ExecStopPost= in its unit)", Action: dnsRestore, Flags: []cli.Flag{
				&cli.StringFlag{Name: "interface", Usage: "`NAME` of that daemon's interface", Value: node.DefaultInterface},
			}},
			{Name: "version", Usage: "versions of tool and daemon", Action: versions},
		}),
	}
	usage.AcceptJSON(a.Commands[1:]) // a daemon prints nothing
	return a
}

// daemon gives a client of the daemon that --socket names.
func daemon(c *cli.Context) *local.Client { return local.NewClient(c.String("socket")) }
