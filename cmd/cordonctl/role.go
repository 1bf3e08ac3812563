package main

import (
	"fmt"
	"os"
	"strings"

	"connectrpc.com/connect"
	"github.com/urfave/cli/v2"

	"github.com/cordonmesh/cordon/cmd/internal/usage"
	"github.com/cordonmesh/cordon/coordinator/admin"
)

func roleCommands() *cli.Command {
	last := &cli.BoolFlag{Name: "last-owner", Usage: "also from the last owner, so that only operators at the coordinator are left; for these alone"}
	return &cli.Command{Name: "role", Usage: "who may operate the mesh", Subcommands: []*cli.Command{
		{Name: "list", Usage: "every role, what it allows, who has it and by whom", Action: with(listRoles)},
		{Name: "grant", Usage: "give a role to a person who has signed in once", ArgsUsage: "LOGIN ROLE", Action: with(grantRole)},
		{Name: "revoke", Usage: "take a role, and the tokens that the person could make no more", ArgsUsage: "LOGIN ROLE", Action: with(revokeRole), Flags: []cli.Flag{last, withGrants()}},
	}}
}

func listRoles(c *cli.Context, api *admin.Client) error {
	resp, err := api.ListRoles(c.Context, connect.NewRequest(new(admin.ListRolesRequest)))
	if err != nil {
		return err
	}
	if usage.WantsJSON(c) {
		return printJSON(resp.Msg)
	}
	var rows [][]string
	for _, r := range resp.Msg.Roles {
		rows = append(rows, []string{r.Name, strings.Join(r.Scopes, ","), orDash(strings.Join(r.Holders, ",")), orDash(strings.Join(r.Tokens, ","))})
	}
	if err := table("ROLE SCOPES PEOPLE TOKENS", rows); err != nil {
		return err
	}
	return printGrants(resp.Msg.Roles)
}

func grantRole(c *cli.Context, api *admin.Client) error {
	a, err := usage.Args(c, "LOGIN", "ROLE")
	if err != nil {
		return err
	}
	resp, err := api.GrantRole(c.Context, connect.NewRequest(&admin.GrantRoleRequest{User: a[0], Role: a[1]}))
	if err != nil {
		return err
	}
	if usage.WantsJSON(c) {
		return printJSON(resp.Msg)
	}
	fmt.Printf("%s (%s) has the roles %s\n", resp.Msg.User.Login, resp.Msg.User.Name, strings.Join(resp.Msg.User.Roles, ", "))
	if resp.Msg.Address != "" {
		fmt.Printf("to operate they sign in by: cordonctl login --coordinator %s\n", resp.Msg.Address)
	}
	return nil
}

func revokeRole(c *cli.Context, api *admin.Client) error {
	a, err := usage.Args(c, "LOGIN", "ROLE")
	if err != nil {
		return err
	}
	resp, err := api.RevokeRole(c.Context, connect.NewRequest(&admin.RevokeRoleRequest{User: a[0], Role: a[1], LastOwner: c.Bool("last-owner"), WithGrants: c.Bool("with-grants")}))
	if err != nil {
		return err
	}
	if usage.WantsJSON(c) {
		return printJSON(resp.Msg)
	}
	left := "no role"
	if roles := resp.Msg.User.Roles; len(roles) > 0 {
		left = "the roles " + strings.Join(roles, ", ")
	}
	fmt.Printf("%s has %s; %d tokens of their making are revoked\n", resp.Msg.User.Login, left, resp.Msg.Revoked)
	tellMade(os.Stdout, resp.Msg.User.Login, resp.Msg.Made)
	tellGrants(resp.Msg.User.Login, resp.Msg.Withdrawn, resp.Msg.Granted)
	return nil
}
