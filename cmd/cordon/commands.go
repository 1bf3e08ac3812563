package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

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
