package main

import (
	"fmt"
	"time"

	"connectrpc.com/connect"
	"github.com/urfave/cli/v2"

	"github.com/cordonmesh/cordon/cmd/internal/usage"
	"github.com/cordonmesh/cordon/coordinator/admin"
)

func linkLifeFlag() cli.Flag {
	return &cli.DurationFlag{Name: "link-life", Usage: "`TIME` for which the link to set up works", Value: 24 * time.Hour}
}

func addUserCommand() *cli.Command {
	return &cli.Command{Name: "add", Usage: "add a person whom no provider knows, and print the link by which they set up a password or a passkey", ArgsUsage: "LOGIN", Action: with(addUser), Flags: []cli.Flag{
		&cli.StringFlag{Name: "name", Usage: "`NAME` for people"},
		&cli.StringSliceFlag{Name: "group", Usage: "`GROUP` of theirs, local:GROUP in the policy; may be repeated"},
		linkLifeFlag(),
	}}
}

func resetUserCommand() *cli.Command {
	return &cli.Command{Name: "reset", Usage: "void a local person's password, codes and passkeys, end their sessions, and print a new link to set up", ArgsUsage: "LOGIN", Action: with(resetUser), Flags: []cli.Flag{
		&cli.BoolFlag{Name: "keep", Usage: "void nothing: the link is for one thing more, such as a second passkey"},
		linkLifeFlag(),
	}}
}

func groupUserCommand() *cli.Command {
	return &cli.Command{Name: "group", Usage: "give a local person exactly these groups", ArgsUsage: "LOGIN", Action: with(groupUser), Flags: []cli.Flag{
		&cli.StringSliceFlag{Name: "group", Usage: "`GROUP`, local:GROUP in the policy; may be repeated; without any they are in none"},
	}}
}

func addUser(c *cli.Context, api *admin.Client) error {
	a, err := usage.Args(c, "LOGIN")
	if err != nil {
		return err
	}
	resp, err := api.AddUser(c.Context, connect.NewRequest(&admin.AddUserRequest{Login: a[0], Name: c.String("name"), Groups: c.StringSlice("group"), LinkLife: lifeOf(c)}))
	if err != nil {
		return err
	}
	if usage.WantsJSON(c) {
		return printJSON(resp.Msg)
	}
	fmt.Printf("%s is added. ", resp.Msg.User.Login)
	printLink(resp.Msg.Link, resp.Msg.Until)
	return nil
}

func resetUser(c *cli.Context, api *admin.Client) error {
	a, err := usage.Args(c, "LOGIN")
	if err != nil {
		return err
	}
	resp, err := api.ResetUser(c.Context, connect.NewRequest(&admin.ResetUserRequest{User: a[0], Keep: c.Bool("keep"), LinkLife: lifeOf(c)}))
	if err != nil {
		return err
	}
	if usage.WantsJSON(c) {
		return printJSON(resp.Msg)
	}
	if !c.Bool("keep") {
		fmt.Printf("%s can't sign in until they are set up anew; %d sessions ended. ", resp.Msg.User.Login, resp.Msg.Ended)
	}
	printLink(resp.Msg.Link, resp.Msg.Until)
	return nil
}

func groupUser(c *cli.Context, api *admin.Client) error {
	a, err := usage.Args(c, "LOGIN")
	if err != nil {
		return err
	}
	resp, err := api.GroupUser(c.Context, connect.NewRequest(&admin.GroupUserRequest{User: a[0], Groups: c.StringSlice("group")}))
	if err != nil {
		return err
	}
	if usage.WantsJSON(c) {
		return printJSON(resp.Msg)
	}
	fmt.Printf("%s is in %v\n", resp.Msg.User.Login, resp.Msg.User.Groups)
	return nil
}

// lifeOf gives the link's life in whole seconds, rounded up: none must mean none.
func lifeOf(c *cli.Context) int64 {
	return int64((c.Duration("link-life") + time.Second - 1) / time.Second)
}

func printLink(link string, until int64) {
	fmt.Printf("Give this link to them, and to nobody else; it works once, until %s:\n\n    %s\n\nWhoever uses it is them from then on: hand it over in person, or by a way that only they read.\n", moment(until), link)
}
