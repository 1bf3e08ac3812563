// Command cordon-coordinator makes, serves, backs up and restores a mesh.
package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"connectrpc.com/connect"
	"github.com/urfave/cli/v2"

	"github.com/cordonmesh/cordon/cmd/internal/usage"
	"github.com/cordonmesh/cordon/coordinator"
	"github.com/cordonmesh/cordon/coordinator/admin"
	"github.com/cordonmesh/cordon/node/relay/server"
)

var version = "dev" // set by the linker

func main() { os.Exit(usage.Main(app(), os.Args, words)) }

// words gives an error as people should read it: an answer without its code, and
// what to do when no coordinator answers.
func words(err error) error {
	var answer *connect.Error
	if !errors.As(err, &answer) {
		return err
	}
	if answer.Code() == connect.CodeUnavailable && strings.Contains(answer.Message(), "dial") {
		return fmt.Errorf("no coordinator answers: is it running here, and is --state right? (%s)", answer.Message())
	}
	return errors.New(answer.Message())
}

func app() *cli.App {
	state := &cli.StringFlag{Name: "state", Usage: "state `DIRECTORY`", Value: "/var/lib/cordon-coordinator", EnvVars: []string{"CORDON_STATE"}}
	return &cli.App{
		Name: "cordon-coordinator", Usage: "the coordinator of a Cordon mesh", Version: version,
		Commands: []*cli.Command{
			{Name: "init", Usage: "make a new mesh", Action: initialise, Flags: []cli.Flag{
				state,
				&cli.StringFlag{Name: "url", Usage: "`URL` at which nodes will reach this coordinator, such as https://mesh.clinic.example:8443"},
				&cli.StringFlag{Name: "domain", Usage: "names of nodes are NAME.`DOMAIN`", Value: "mesh.internal"},
				&cli.StringFlag{Name: "ipv4", Usage: "IPv4 `RANGE` of the mesh (default 100.64.0.0/10)"},
				&cli.StringFlag{Name: "ipv6", Usage: "IPv6 `RANGE` of the mesh (default a random ULA /48)"},
				&cli.BoolFlag{Name: "json", Usage: "print JSON"},
			}},
			{Name: "serve", Usage: "serve the mesh", Action: serve, Flags: append([]cli.Flag{
				state,
				&cli.StringFlag{Name: "listen", Usage: "`ADDRESS` of the one TLS port", Value: ":8443"},
				&cli.StringFlag{Name: "metrics", Usage: "`ADDRESS` for Prometheus metrics over plain HTTP, such as 127.0.0.1:9464 (default none)"},
				&cli.StringFlag{Name: "socket", Usage: "`PATH` of the admin socket (default admin.sock in the state directory)"},
				&cli.StringSliceFlag{Name: "relay", Usage: "a relay that stands elsewhere, `NAME=URL` or NAME=URL#PIN, the pin as cordon-relay's pin command prints it; with ,stun=PORT behind it if it answers STUN at another UDP port than 3478 (0: nowhere); may be given more than once"},
				&cli.StringFlag{Name: "stun", Usage: "UDP `ADDRESS` at which nodes learn how the internet sees them (STUN), or none (default that of --listen)"},
				&cli.BoolFlag{Name: "no-relay", Usage: "do not be a relay on the TLS port"},
				&cli.DurationFlag{Name: "relay-ticket-life", Usage: "`TIME` for which relays go on serving a node, also one that was removed, when no coordinator can be reached", Value: 7 * 24 * time.Hour},
				&cli.StringFlag{Name: "web-cert", Usage: "PEM `FILE` with the certificate that browsers see"},
				&cli.StringFlag{Name: "web-key", Usage: "PEM `FILE` with its key"},
				usage.LogLevel(),
			}, append(signInFlags(), warningFlags()...)...)},
			{Name: "backup", Usage: "write a sealed copy of everything, from a running coordinator", ArgsUsage: "FILE", Action: backup, Flags: []cli.Flag{
				state,
				&cli.StringFlag{Name: "socket", Usage: "`PATH` of the admin socket (default admin.sock in the state directory)"},
			}},
			policyCommand(state),
			{Name: "restore", Usage: "bring a mesh back from a sealed copy, into a state directory that does not exist yet", ArgsUsage: "FILE", Action: restore, Flags: []cli.Flag{
				state,
				&cli.StringFlag{Name: "recovery-file", Usage: "`FILE` with the recovery key (default: asked for)"},
				&cli.BoolFlag{Name: "yes", Usage: "confirm that the lost coordinator will not come back"},
			}},
		},
	}
}

func initialise(c *cli.Context) error {
	s := coordinator.Setup{StateDir: c.String("state"), URL: c.String("url"), Domain: c.String("domain")}
	for key, into := range map[string]*netip.Prefix{"ipv4": &s.IPv4, "ipv6": &s.IPv6} {
		example := map[string]string{"ipv4": "100.64.0.0/10", "ipv6": "fd12:3456:789a::/48"}[key]
		if text := c.String(key); text != "" {
			p, err := netip.ParsePrefix(text)
			if err != nil {
				return usage.Bad(key, text, "a prefix such as "+example)
			}
			*into = p
		}
	}
	made, err := coordinator.Init(c.Context, s)
	if err != nil {
		return err
	}
	if usage.WantsJSON(c) {
		return usage.PrintJSON(map[string]string{"mesh": made.Mesh.String(), "fingerprint": made.Fingerprint.String(), "recovery": made.Recovery})
	}
	fmt.Printf(`A mesh was made in %[1]s.

  mesh         %[2]s
  fingerprint  %[3]s

The recovery key opens backups. It is kept nowhere: write it down now, away from
this machine.

  %[4]s

Nothing is permitted yet. What to do next:

  cordon-coordinator serve --state %[1]s
  cordonctl --socket %[1]s/admin.sock policy get > policy.hujson
  (edit it: its comments teach how)
  cordonctl --socket %[1]s/admin.sock policy set policy.hujson
  cordonctl --socket %[1]s/admin.sock token create --user ana@clinic.example
  (on ana's laptop)  cordon up
`, s.StateDir, made.Mesh, made.Fingerprint, made.Recovery)
	return nil
}

func serve(c *cli.Context) error {
	log, err := usage.Log(c)
	if err != nil {
		return err
	}
	elsewhere, err := relays(c.StringSlice("relay"))
	if err != nil {
		return err
	}
	inner := innerRelay
	if c.Bool("no-relay") {
		inner = nil
	}
	return coordinator.Run(c.Context, coordinator.Config{
		Relays: elsewhere, Relay: inner, STUN: c.String("stun"), RelayTicketLife: c.Duration("relay-ticket-life"),
		StateDir: c.String("state"), Listen: c.String("listen"), Metrics: c.String("metrics"), Socket: c.String("socket"),
		WebCert: c.String("web-cert"), WebKey: c.String("web-key"), SignIn: signIn(c), SCIM: directory(c), Warnings: warnings(c), Version: version,
		Log: log,
	})
}

func relays(texts []string) (all []coordinator.RelayRecord, err error) {
	for _, text := range texts {
		r, err := coordinator.ParseRelay(text)
		if err != nil {
			return nil, usage.Bad("relay", text, fmt.Sprintf("NAME=URL or NAME=URL#PIN, such as ward=https://relay.clinic.example, and ,stun=PORT if it is not 3478 (%v)", err))
		}
		all = append(all, r)
	}
	return all, nil
}

// innerRelay is the relay inside the coordinator.
func innerRelay(c coordinator.RelayConfig) (coordinator.Relay, error) {
	s, err := server.New(server.Config{Roots: c.Roots, Admit: c.Admit, Now: c.Now, Log: c.Log})
	if err != nil {
		return nil, err
	}
	return relayServer{s}, nil
}

type relayServer struct{ *server.Server }

// RespondSTUN is coordinator.Relay's.
func (relayServer) RespondSTUN(ctx context.Context, conn net.PacketConn) error {
	return server.RespondSTUN(ctx, conn)
}

func backup(c *cli.Context) (err error) {
	a, err := usage.Args(c, "FILE")
	if err != nil {
		return err
	}
	socket := c.String("socket")
	if socket == "" {
		socket = filepath.Join(c.String("state"), "admin.sock")
	}
	client := admin.NewSocketClient(socket)
	defer client.Close()
	path := a[0]
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("writing the backup: %w", err)
	}
	size, err := client.CopyBackup(c.Context, f)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		os.Remove(path) // half a backup is worse than none
		return fmt.Errorf("backup: %w", err)
	}
	fmt.Printf("%s: %d bytes, sealed to the recovery key\n", path, size)
	return nil
}

func restore(c *cli.Context) error {
	a, err := usage.Args(c, "FILE")
	if err != nil {
		return err
	}
	if !c.Bool("yes") {
		return errors.New("a restored coordinator takes the mesh over from the lost one, which must never run again: say --yes to confirm")
	}
	f, err := os.Open(a[0])
	if err != nil {
		return fmt.Errorf("reading the backup: %w", err)
	}
	defer f.Close()
	recovery, err := usage.Secret(c.String("recovery-file"), "recovery key (what `init` printed)")
	if err != nil {
		return fmt.Errorf("no recovery key: %w: it is what `cordon-coordinator init` printed; give it on standard input or in --recovery-file", err)
	}
	if err := coordinator.Restore(c.Context, c.String("state"), recovery, f, "restored from "+filepath.Base(f.Name())); err != nil {
		return err
	}
	fmt.Printf("restored into %[1]s, with a new incarnation.\nNext: cordon-coordinator serve --state %[1]s\n"+
		"Nodes come back by themselves, and bring the revocations that were made after the backup.\n", c.String("state"))
	return nil
}
