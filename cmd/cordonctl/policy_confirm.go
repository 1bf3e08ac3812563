package main

import (
	"fmt"

	"connectrpc.com/connect"
	"github.com/urfave/cli/v2"

	"github.com/cordonmesh/cordon/cmd/internal/usage"
	"github.com/cordonmesh/cordon/coordinator/admin"
)

// confirmFlag is of the commands that put a policy in force.
func confirmFlag() cli.Flag {
	return &cli.DurationFlag{Name: "confirm-within", Usage: "the policy before comes back after this `TIME`, unless `policy confirm` comes first; 1s to 168h"}
}

func confirmPolicy(c *cli.Context, api *admin.Client) error {
	resp, err := api.ConfirmPolicy(c.Context, connect.NewRequest(&admin.ConfirmPolicyRequest{Revision: c.Uint64("revision")}))
	if err != nil {
		return err
	}
	if usage.WantsJSON(c) {
		return printJSON(resp.Msg)
	}
	fmt.Printf("the policy of revision %d stays\n", resp.Msg.Revision)
	return nil
}

func rollBackPolicy(c *cli.Context, api *admin.Client) error {
	resp, err := api.RollBackPolicy(c.Context, connect.NewRequest(&admin.RollBackPolicyRequest{}))
	if err != nil {
		return err
	}
	if usage.WantsJSON(c) {
		return printJSON(resp.Msg)
	}
	fmt.Printf("the policy before is in force again, as revision %d\n", resp.Msg.Revision)
	return nil
}
