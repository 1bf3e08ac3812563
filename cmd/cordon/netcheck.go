package main

import (
	"fmt"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/urfave/cli/v2"

	"github.com/cordonmesh/cordon/cmd/internal/usage"
	"github.com/cordonmesh/cordon/node/local"
)

// netcheck prints a page for a help desk.
func netcheck(c *cli.Context) error {
	api := daemon(c)
	defer api.Close()
	r, err := api.Netcheck(c.Context)
	if err != nil {
		return err
	}
	if usage.WantsJSON(c) {
		return usage.PrintJSON(r)
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 4, 2, ' ', 0)
	for _, f := range r.Findings {
		fmt.Fprintf(w, "%s\t%s\t%s\n", strings.ToUpper(string(f.State)), f.Topic, visible(f.Text))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	advise(r.Findings)
	return nil
}

// advise prints what to do, below what was found.
func advise(all []local.Finding) {
	first := true
	for _, f := range all {
		if f.Advice == "" {
			continue
		}
		if first {
			fmt.Println("\nwhat to do:")
			first = false
		}
		fmt.Printf("  %s: %s\n", f.Topic, visible(f.Advice))
	}
}
