// Command cordon-relay forwards sealed packets between nodes that cannot reach
// each other directly.
package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/cordonmesh/cordon/cmd/internal/usage"
	"github.com/cordonmesh/cordon/coordinator/wire/key"
	"github.com/cordonmesh/cordon/node/relay"
	"github.com/cordonmesh/cordon/node/relay/server"
)

var version = "dev" // set by the linker

func main() { os.Exit(usage.Main(app(), os.Args, nil)) }

func app() *cli.App {
	state := &cli.StringFlag{Name: "state", Usage: "state `DIRECTORY` that holds the relay's own key", Value: "/var/lib/cordon-relay", EnvVars: []string{"CORDON_STATE"}}
	cert := &cli.StringFlag{Name: "cert", Usage: "PEM `FILE` with a certificate to use instead of the relay's own key"}
	certKey := &cli.StringFlag{Name: "key", Usage: "PEM `FILE` with its key; what is renewed in the two is served within a minute"}
	return &cli.App{
		Name: "cordon-relay", Usage: "a relay for the nodes of Cordon meshes", Version: version,
		Commands: []*cli.Command{
			{Name: "serve", Usage: "serve nodes", Action: serve, Flags: []cli.Flag{
				state, cert, certKey,
				&cli.BoolFlag{Name: "pinned", Usage: "nodes know this relay by the pin of --key: a certificate that was renewed with another key waits for a restart"},
				&cli.StringSliceFlag{Name: "mesh-root", Usage: "`FINGERPRINT` of a mesh root whose nodes are served: 64 hexadecimal digits, as `cordon-coordinator init` printed; may be given more than once", EnvVars: []string{"CORDON_MESH_ROOT"}},
				&cli.StringFlag{Name: "listen", Usage: "`ADDRESS` of the TLS port", Value: ":443"},
				&cli.StringFlag{Name: "path", Usage: "`PATH` of the URL at which nodes find the relay", Value: relay.DefaultPath},
				&cli.StringFlag{Name: "stun", Usage: "UDP `ADDRESS` of the STUN responder, or none", Value: ":3478"},
				&cli.StringFlag{Name: "metrics", Usage: "`ADDRESS` for Prometheus metrics over plain HTTP, such as 127.0.0.1:9465 (default none)"},
				&cli.IntFlag{Name: "max-clients", Usage: "`NUMBER` of connections of one mesh", Value: 20_000},
				&cli.Uint64Flag{Name: "client-rate", Usage: "`BYTES` a second that one node may send", Value: 64 << 20},
				&cli.Uint64Flag{Name: "client-frames", Usage: "`FRAMES` a second that one node may send", Value: 100_000},
				&cli.DurationFlag{Name: "drain", Usage: "`TIME` that nodes have to leave when the relay stops", Value: 5 * time.Second},
				usage.LogLevel(),
			}},
			{Name: "pin", Usage: "print the pin by which nodes know this relay", Action: pin, Flags: []cli.Flag{
				state, cert, certKey, &cli.BoolFlag{Name: "json", Usage: "print JSON"},
			}},
		},
	}
}

func serve(c *cli.Context) error {
	log, err := usage.Log(c)
	if err != nil {
		return err
	}
	cfg := server.Standalone{Listen: c.String("listen"), Path: c.String("path"), STUN: c.String("stun"), Metrics: c.String("metrics"),
		Drain: c.Duration("drain"), Config: server.Config{MaxClients: c.Int("max-clients"), Rate: c.Uint64("client-rate"),
			FrameRate: c.Uint64("client-frames"), Log: log}}
	if cfg.STUN == "none" {
		cfg.STUN = ""
	}
	if !strings.HasPrefix(cfg.Path, "/") || strings.ContainsAny(cfg.Path, "{} ?#") {
		return usage.Bad("path", cfg.Path, "a path such as /relay")
	}
	if cfg.Roots, err = roots(c.StringSlice("mesh-root")); err != nil {
		return err
	}
	var p relay.Pin
	if cfg.Certificate, p, err = certificate(c); err != nil {
		return err
	}
	cfg.Files = server.Files{Cert: c.String("cert"), Key: c.String("key"), Pinned: c.Bool("pinned")}
	cfg.Ready = func(at net.Addr) {
		log.Info("relay: serving", "address", at.String(), "path", cfg.Path, "pin", p.String())
	}
	return server.Run(c.Context, cfg)
}

func roots(texts []string) (all []key.Fingerprint, err error) {
	for _, text := range texts {
		f, err := key.ParseFingerprint(text)
		if err != nil {
			return nil, usage.Bad("mesh-root", text, "64 hexadecimal digits, as `cordon-coordinator init` printed")
		}
		all = append(all, f)
	}
	if len(all) == 0 {
		return nil, errors.New("mesh-root: none is given: want the fingerprint that `cordon-coordinator init` printed; a relay serves the nodes of meshes that it knows")
	}
	return all, nil
}

func certificate(c *cli.Context) (tls.Certificate, relay.Pin, error) {
	cert, certKey := c.String("cert"), c.String("key")
	switch {
	case cert != "" && certKey != "":
		return server.LoadCertificate(cert, certKey)
	case cert != "" || certKey != "":
		return tls.Certificate{}, relay.Pin{}, errors.New("cert and key: only one is given: want both, or none")
	}
	return server.Certificate(c.String("state"))
}

func pin(c *cli.Context) error {
	_, p, err := certificate(c)
	if err != nil {
		return err
	}
	if usage.WantsJSON(c) {
		return usage.PrintJSON(map[string]string{"pin": p.String()})
	}
	fmt.Println(p)
	return nil
}
