package main

import (
	"fmt"

	"connectrpc.com/connect"
	"github.com/urfave/cli/v2"

	"github.com/cordonmesh/cordon/cmd/internal/usage"
	"github.com/cordonmesh/cordon/coordinator/admin"
)

func warnings(c *cli.Context, api *admin.Client) error {
	resp, err := api.ListWarnings(c.Context, connect.NewRequest(&admin.ListWarningsRequest{}))
	if err != nil {
		return err
	}
	if usage.WantsJSON(c) {
		return printJSON(resp.Msg)
	}
	for _, w := range resp.Msg.Warnings {
		fmt.Println(visible(w.Text))
	}
	if len(resp.Msg.Warnings) == 0 {
		fmt.Println("nothing lapses within 30 days, and there is nothing else to look at")
	}
	return nil
}
