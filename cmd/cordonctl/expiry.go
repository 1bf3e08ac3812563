package main

import (
	"time"

	"connectrpc.com/connect"
	"github.com/urfave/cli/v2"

	"github.com/cordonmesh/cordon/cmd/internal/usage"
	"github.com/cordonmesh/cordon/coordinator/admin"
)

// expiryCommands end and prolong the time of people's machines.
func expiryCommands() []*cli.Command {
	return []*cli.Command{
		{Name: "expire", Usage: "end the time of a person's machine: it has no peers until its person has signed in there anew", ArgsUsage: "NODE", Action: with(expireNode)},
		{Name: "renew", Usage: "give a person's machine another span of time", ArgsUsage: "NODE", Action: with(renewNode), Flags: []cli.Flag{
			&cli.DurationFlag{Name: "for", Usage: "`TIME`, such as 720h (default: as the coordinator's --device-life says)"},
		}},
	}
}

func expireNode(c *cli.Context, api *admin.Client) error {
	a, err := usage.Args(c, "NODE")
	if err != nil {
		return err
	}
	resp, err := api.ExpireNode(c.Context, connect.NewRequest(&admin.ExpireNodeRequest{Node: a[0]}))
	if err != nil {
		return err
	}
	return printNode(c, resp.Msg.Node)
}

func renewNode(c *cli.Context, api *admin.Client) error {
	a, err := usage.Args(c, "NODE")
	if err != nil {
		return err
	}
	life := c.Duration("for")
	if c.IsSet("for") && life < time.Second {
		return usage.Bad("for", life.String(), "a second or more, such as 720h")
	}
	resp, err := api.RenewNode(c.Context, connect.NewRequest(&admin.RenewNodeRequest{Node: a[0], Life: int64(life / time.Second)}))
	if err != nil {
		return err
	}
	return printNode(c, resp.Msg.Node)
}
