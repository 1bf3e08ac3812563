package main

import (
	"net/netip"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/cordonmesh/cordon/cmd/internal/memory"
	"github.com/cordonmesh/cordon/cmd/internal/usage"
	"github.com/cordonmesh/cordon/node"
)

func daemonCommand() *cli.Command {
	return &cli.Command{Name: "daemon", Usage: "run the node", Action: runDaemon, Flags: []cli.Flag{
		&cli.StringFlag{Name: "state", Usage: "state `DIRECTORY`", Value: node.DefaultStateDir(), EnvVars: []string{"CORDON_STATE"}},
		&cli.BoolFlag{Name: "userspace", Usage: "rootless: no interface; only what --socks5, --http-proxy, --forward and --expose name goes in or out"},
		&cli.StringFlag{Name: "interface", Usage: "`NAME` of the interface", Value: node.DefaultInterface},
		&cli.IntFlag{Name: "mtu", Usage: "`BYTES` of the largest packet in the tunnel", Value: 1280},
		&cli.UintFlag{Name: "port", Usage: "UDP `PORT` (default any)"},
		&cli.BoolFlag{Name: "only-443", Usage: "use no UDP: reach peers through relays alone, over TLS; networks that block UDP are found out without it"},
		&cli.BoolFlag{Name: "no-port-mapping", Usage: "do not ask the router of this network to let peers in (PCP, NAT-PMP, UPnP); it is asked only where the machine is behind a NAT"},
		&cli.StringSliceFlag{Name: "endpoint", Usage: "`ADDRESS:PORT` at which peers can reach this machine and which it cannot see itself; may be repeated"},
		&cli.StringSliceFlag{Name: "advertise", Usage: "`PREFIX` behind this node, for which it wants to be the gateway; may be repeated"},
		&cli.StringFlag{Name: "stock-peers", Usage: "`FILE` with the plain WireGuard clients behind this node: sections [Peer] with Name, PublicKey and AllowedIPs"},
		&cli.StringSliceFlag{Name: "stock-prefix", Usage: "with --stock-peers: `PREFIX` that holds their addresses, and has nothing else behind it; advertised as by --advertise; may be repeated"},
		&cli.StringFlag{Name: "dns", Value: "off", Usage: "how programs find peers by NAME.MESHDOMAIN, `HOW`: off (nothing answers, nothing of this machine's resolver is touched), " +
			"resolved (told to systemd-resolved, for the mesh's names alone), auto (resolved where systemd-resolved runs, else off), " +
			"file (a line put first in /etc/resolv.conf, for machines without it), serve (answer, and change nothing; `cordon status` tells where)"},
		&cli.StringSliceFlag{Name: "dns-route", Usage: "with --dns: `DOMAIN=SERVER[,SERVER]`, resolvers for the names of another domain, such as hospital.example=10.0.0.53; may be repeated"},
		&cli.StringFlag{Name: "socks5", Usage: "with --userspace: local `ADDRESS` of a SOCKS5 door into the mesh"},
		&cli.StringFlag{Name: "http-proxy", Usage: "with --userspace: local `ADDRESS` of the same as an HTTP proxy (CONNECT), for programs that know no SOCKS"},
		&cli.StringSliceFlag{Name: "forward", Usage: "with --userspace: `[LISTEN:]PORT=TARGET`, a local port that leads to a mesh address or peer, such as 8443=ehr:443; may be repeated"},
		&cli.StringSliceFlag{Name: "expose", Usage: "with --userspace: `PORT=TARGET`, a port of this node in the mesh that leads to a local service, such as 443=127.0.0.1:8443; may be repeated"},
		usage.LogLevel(),
	}}
}

func runDaemon(c *cli.Context) error {
	config, err := daemonConfig(c)
	if err != nil {
		return err
	}
	n, err := node.New(config)
	if err != nil {
		return err
	}
	if config.Userspace {
		// The stack's garbage is worth collecting sooner than Go would: its many
		// small packets keep large buffers alive.
		memory.Collect(25)
	}
	return memory.Run(c.Context, n.Run)
}

func daemonConfig(c *cli.Context) (config node.Config, err error) {
	log, err := usage.Log(c)
	if err != nil {
		return config, err
	}
	if c.Uint("port") > 65535 {
		return config, usage.Bad("port", strconv.FormatUint(uint64(c.Uint("port")), 10), "1 to 65535, or 0 for any")
	}
	config = node.Config{
		StateDir: c.String("state"), Socket: c.String("socket"), Version: version, Userspace: c.Bool("userspace"),
		Interface: c.String("interface"), MTU: c.Int("mtu"), Port: uint16(c.Uint("port")), Only443: c.Bool("only-443"), NoPortMapping: c.Bool("no-port-mapping"), SOCKS5: c.String("socks5"), HTTPProxy: c.String("http-proxy"),
		Log: log,
	}
	if config.Endpoints, err = each(c, "endpoint", "an address and port such as 203.0.113.7:51820", netip.ParseAddrPort); err != nil {
		return config, err
	}
	if config.Advertise, err = each(c, "advertise", "a prefix such as 10.20.30.0/24", netip.ParsePrefix); err != nil {
		return config, err
	}
	config.StockPeers = c.String("stock-peers")
	if config.StockPrefixes, err = each(c, "stock-prefix", "a prefix such as 10.99.0.0/24", netip.ParsePrefix); err != nil {
		return config, err
	}
	config.Names.Mode = c.String("dns")
	for _, text := range routes(c.StringSlice("dns-route")) {
		r, err := node.ParseNameRoute(text)
		if err != nil {
			return config, err
		}
		config.Names.Routes = append(config.Names.Routes, r)
	}
	if config.Forwards, err = each(c, "forward", "LISTEN=TARGET, such as 8443=ehr:443", node.ParseForward); err != nil {
		return config, err
	}
	if config.Exposes, err = each(c, "expose", "PORT=TARGET, such as 443=127.0.0.1:8443", node.ParseExpose); err != nil {
		return config, err
	}
	return config, nil
}

// routes puts together again what the flag's parser cut at the commas between the
// servers of one route.
func routes(parts []string) (out []string) {
	for _, p := range parts {
		if len(out) > 0 && !strings.Contains(p, "=") {
			out[len(out)-1] += "," + p
			continue
		}
		out = append(out, p)
	}
	return out
}

// each parses every value of a repeated flag.
func each[T any](c *cli.Context, key, allowed string, parse func(string) (T, error)) (out []T, err error) {
	for _, text := range c.StringSlice(key) {
		v, err := parse(text)
		if err != nil {
			return nil, usage.Bad(key, text, allowed)
		}
		out = append(out, v)
	}
	return out, nil
}
