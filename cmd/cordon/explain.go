package main

import (
	"errors"
	"fmt"
	"net"
	"strconv"

	"github.com/urfave/cli/v2"

	"github.com/cordonmesh/cordon/cmd/internal/usage"
	"github.com/cordonmesh/cordon/node/local"
)

func explain(c *cli.Context) error {
	r, err := explainRequest(c)
	if err != nil {
		return err
	}
	api := daemon(c)
	defer api.Close()
	e, err := api.Explain(c.Context, r)
	if err != nil {
		return err
	}
	if usage.WantsJSON(c) {
		return usage.PrintJSON(e)
	}
	printExplanation(r, e)
	return nil
}

// explainRequest reads [SRC] DST:PORT.
func explainRequest(c *cli.Context) (r local.ExplainRequest, err error) {
	a := c.Args().Slice()
	switch len(a) {
	case 1:
	case 2:
		r.Src = a[0]
	default:
		return r, errors.New("want [SRC] DST:PORT, such as ehr:443: see `cordon explain --help`")
	}
	host, port, err := net.SplitHostPort(a[len(a)-1])
	if err != nil {
		return r, usage.Bad("DST:PORT", a[len(a)-1], "a destination such as ehr:443 or [fd00::1]:443")
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return r, usage.Bad("PORT", port, "0 to 65535")
	}
	r.Protocol, r.Dst, r.Port = c.String("protocol"), host, uint16(n)
	return r, nil
}

// printExplanation prints the verdict and its rule, and what to do about a refusal.
func printExplanation(r local.ExplainRequest, e *local.ExplainResponse) {
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
}
