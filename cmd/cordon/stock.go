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

func stockCommands() *cli.Command {
	return &cli.Command{Name: "stock", Usage: "plain WireGuard clients behind this node", Subcommands: []*cli.Command{
		{Name: "config", Usage: "what goes into a client's own configuration, for wg-quick; its private key stays there", ArgsUsage: "NAME", Action: stockConfig},
		{Name: "reload", Usage: "read the file of --stock-peers again (ExecReload= in the daemon's unit); returns when it is enforced", Action: stockReload},
	}}
}

func stockConfig(c *cli.Context) error {
	args, err := usage.Args(c, "NAME")
	if err != nil {
		return err
	}
	api := daemon(c)
	defer api.Close()
	r, err := api.StockConfig(c.Context, local.StockRequest{Name: args[0]})
	if err != nil {
		return err
	}
	if usage.WantsJSON(c) {
		return usage.PrintJSON(r)
	}
	fmt.Print(r.Config)
	return nil
}

func stockReload(c *cli.Context) error {
	api := daemon(c)
	defer api.Close()
	r, err := api.StockReload(c.Context)
	if err != nil {
		return err
	}
	if usage.WantsJSON(c) {
		return usage.PrintJSON(r)
	}
	if len(r.Names) == 0 {
		fmt.Println("there are no stock peers now")
		return nil
	}
	fmt.Println("stock peers:", strings.Join(r.Names, ", "))
	return nil
}

// printStock lists the stock peers, if there are any.
func printStock(peers []local.StockPeer) error {
	if len(peers) == 0 {
		return nil
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "\nSTOCK PEER\tADDRESS\tHANDSHAKE\tIN\tOUT\tAT")
	for _, p := range peers {
		at := p.Endpoint
		if at == "" {
			at = "not heard from yet"
		}
		if p.Why != "" {
			at = "kept out: " + visible(p.Why)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", p.Name, p.Addresses[0], ago(p.LastHandshake), size(p.Received), size(p.Sent), at)
	}
	return w.Flush()
}
