package main

import (
	"fmt"
	"io"
	"os"
	"os/user"
	"path/filepath"

	"github.com/urfave/cli/v2"

	"github.com/cordonmesh/cordon/cmd/internal/usage"
	"github.com/cordonmesh/cordon/coordinator"
)

// maxPolicy bounds a policy file in bytes.
const maxPolicy = 4 << 20

func policyCommand(state cli.Flag) *cli.Command {
	return &cli.Command{
		Name: "policy", Usage: "mend the policy of a coordinator that does not start; `cordonctl policy` is for one that serves",
		Subcommands: []*cli.Command{
			{Name: "get", Usage: "print the policy in force, and on standard error why this version cannot read it", Action: storedPolicy, Flags: []cli.Flag{state}},
			{Name: "set", Usage: "put a policy in force; its tests are not run, for nobody answers for the nodes", ArgsUsage: "FILE", Action: replacePolicy, Flags: []cli.Flag{state}},
		},
	}
}

func storedPolicy(c *cli.Context) error {
	if _, err := usage.Args(c); err != nil {
		return err
	}
	p, err := coordinator.ReadPolicy(c.Context, c.String("state"))
	if err != nil {
		return err
	}
	if p.Err != nil {
		fmt.Fprintln(os.Stderr, p.Err)
	}
	_, err = io.WriteString(c.App.Writer, p.Text)
	return err
}

func replacePolicy(c *cli.Context) error {
	a, err := usage.Args(c, "FILE")
	if err != nil {
		return err
	}
	f, err := os.Open(a[0])
	if err != nil {
		return err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxPolicy+1))
	if err != nil {
		return err
	}
	who, err := user.Current()
	if err != nil {
		return fmt.Errorf("who puts it in force, for the audit: %w", err)
	}
	revision, err := coordinator.ReplacePolicy(c.Context, c.String("state"), who.Username, filepath.Base(a[0]), string(text))
	if err != nil {
		return err
	}
	fmt.Printf("the policy is in force, as revision %d, when the coordinator starts\n", revision)
	return nil
}
