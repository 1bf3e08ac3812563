package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/cordonmesh/cordon/cmd/internal/usage"
	"github.com/cordonmesh/cordon/node"
	"github.com/cordonmesh/cordon/node/local"
)

func up(c *cli.Context) error {
	if c.NArg() > 0 {
		return errors.New("the enrolment string is a secret and never an argument, where every user of this machine could read it: give it on standard input or in --enrolment-file")
	}
	api := daemon(c)
	defer api.Close()
	before, err := api.Status(c.Context)
	if err != nil {
		return err
	}
	r, err := joining(c, api, before)
	if err != nil {
		return err
	}
	s, err := api.Up(c.Context, r)
	if err != nil {
		return err
	}
	if usage.WantsJSON(c) {
		return usage.PrintJSON(s)
	}
	switch s.State {
	case local.StatePending:
		fmt.Printf("%s has joined and waits for an admin: `cordonctl node approve %s`\nfingerprint %s: read it out to whoever lets this machine in\n", s.Name, s.Name, s.Node)
	case local.StateRunning:
		fmt.Printf("%s is up: %s\n", s.Name, addresses(s))
		fmt.Print(people(s))
	default:
		fmt.Printf("%s: %s\n", s.Name, s.State)
	}
	return nil
}

// joining gets an unenrolled machine what it needs to go up: an enrolment string, or
// its person's sign-in.
func joining(c *cli.Context, api *local.Client, before *local.Status) (r local.UpRequest, err error) {
	r.Name = c.String("name")
	if shared := c.Bool("shared"); c.IsSet("shared") {
		r.Shared = &shared
	}
	fresh := before.State == local.StateUnenrolled || before.State == local.StateJoining
	switch {
	case c.String("fingerprint") != "" && c.String("coordinator") == "":
		return r, errors.New("--fingerprint goes with --coordinator")
	case c.String("coordinator") != "" && c.String("enrolment-file") != "":
		return r, errors.New("join by an enrolment string or by a sign-in: want --enrolment-file or --coordinator, not both")
	case c.String("coordinator") != "" && c.Bool("shared"):
		return r, errors.New("who joins by signing in makes the machine their own: a shared one is nobody's, and joins by an enrolment string for a tag")
	case c.String("coordinator") != "":
		return r, joinByLogin(c, api)
	case fresh:
		r.Enrolment, err = usage.Secret(c.String("enrolment-file"), "enrolment string (from an admin: `cordonctl token create`)")
		if err != nil {
			err = fmt.Errorf("no enrolment string: %w: an admin makes one with `cordonctl token create`; give it on standard input or in --enrolment-file, or join by signing in with --coordinator", err)
		}
		return r, err
	case c.String("enrolment-file") != "":
		return r, fmt.Errorf("this node has joined %s already: `cordon up` alone starts it; to join another mesh run a daemon with another --state", before.Coordinator.URL)
	}
	return r, nil
}

func down(c *cli.Context) error {
	api := daemon(c)
	defer api.Close()
	s, err := api.Down(c.Context)
	if err != nil {
		return err
	}
	if usage.WantsJSON(c) {
		return usage.PrintJSON(s)
	}
	fmt.Println("down: no packet enters or leaves by the mesh; `cordon up` starts again")
	return nil
}

func ping(c *cli.Context) error {
	if c.NArg() != 1 {
		return errors.New("want a PEER, its name or mesh address: see `cordon ping --help`")
	}
	count := c.Int("count")
	if count < 1 || count > 1000 {
		return usage.Bad("count", strconv.Itoa(count), "1 to 1000")
	}
	api := daemon(c)
	defer api.Close()
	answered := false
	for i := range count {
		if i > 0 {
			select {
			case <-c.Context.Done():
				return c.Context.Err()
			case <-time.After(500 * time.Millisecond):
			}
		}
		r, err := api.Ping(c.Context, local.PingRequest{Target: c.Args().First()})
		if err != nil {
			return err
		}
		answered = answered || r.Error == ""
		if usage.WantsJSON(c) {
			if err := usage.PrintJSON(r); err != nil {
				return err
			}
			continue
		}
		if r.Error != "" {
			fmt.Printf("%s: %s\n", r.Peer, r.Error)
			continue
		}
		way := "directly at " + r.Endpoint
		if r.Relay != "" {
			way = "through relay " + r.Relay
		}
		fmt.Printf("%s (%s) answered in %s, %s\n", r.Peer, r.Address, r.RTT.Round(10*time.Microsecond), way)
	}
	if !answered {
		return errors.New("no answer")
	}
	return nil
}

func explain(c *cli.Context) error {
	var r local.ExplainRequest
	r.Protocol = c.String("protocol")
	a := c.Args().Slice()
	switch len(a) {
	case 1:
	case 2:
		r.Src = a[0]
	default:
		return errors.New("want [SRC] DST:PORT, such as ehr:443: see `cordon explain --help`")
	}
	host, port, err := net.SplitHostPort(a[len(a)-1])
	if err != nil {
		return usage.Bad("DST:PORT", a[len(a)-1], "a destination such as ehr:443 or [fd00::1]:443")
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return usage.Bad("PORT", port, "0 to 65535")
	}
	r.Dst, r.Port = host, uint16(n)
	api := daemon(c)
	defer api.Close()
	e, err := api.Explain(c.Context, r)
	if err != nil {
		return err
	}
	if usage.WantsJSON(c) {
		return usage.PrintJSON(e)
	}
	verb := "refused"
	if e.Allow {
		verb = "allowed"
	}
	fmt.Printf("%s: %s to %s on %s/%d: %s", verb, e.Src, e.Dst, r.Protocol, r.Port, e.Reason)
	if e.Rule != "" {
		fmt.Printf(", rule %s", e.Rule)
	}
	fmt.Print(untilText(e.Until))
	if e.File != "" {
		fmt.Printf(" (%s:%d)", e.File, e.Line)
	}
	fmt.Println()
	if e.Text != "" {
		fmt.Println("  ", e.Text)
	}
	if what := remedy(e.Needs, e.Outbound); what != "" {
		fmt.Println(what)
	}
	return nil
}

func dnsRestore(c *cli.Context) error {
	there, err := node.RestoreResolver(c.String("interface"))
	if err != nil {
		return err
	}
	if usage.WantsJSON(c) {
		return usage.PrintJSON(map[string]bool{"restored": there})
	}
	if there {
		fmt.Println("took the mesh's name server out of /etc/resolv.conf")
	} else {
		fmt.Println("there was nothing of this interface's daemon in /etc/resolv.conf")
	}
	return nil
}

func versions(c *cli.Context) error {
	api := daemon(c)
	defer api.Close()
	out := map[string]string{"cordon": version}
	if s, err := api.Status(c.Context); err == nil {
		out["daemon"] = s.Version
	}
	if usage.WantsJSON(c) {
		return usage.PrintJSON(out)
	}
	fmt.Println("cordon", version)
	if v, ok := out["daemon"]; ok {
		fmt.Println("daemon", v)
	} else {
		fmt.Fprintln(os.Stderr, "no daemon answers")
	}
	return nil
}

func addresses(s *local.Status) string {
	var out []string
	for _, a := range s.Addresses {
		out = append(out, a.String())
	}
	return strings.Join(out, ", ")
}
