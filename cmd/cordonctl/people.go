package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"connectrpc.com/connect"
	"github.com/urfave/cli/v2"

	"github.com/cordonmesh/cordon/cmd/internal/usage"
	"github.com/cordonmesh/cordon/coordinator/admin"
)

func userCommands() *cli.Command {
	last := &cli.BoolFlag{Name: "last-owner", Usage: "also the last owner, so that only operators at the coordinator are left; for these alone"}
	return &cli.Command{Name: "user", Usage: "people who signed in, and who may no more", Subcommands: []*cli.Command{
		{Name: "list", Usage: "everybody who signed in once, or was disabled", Action: with(listUsers)},
		{Name: "disable", Usage: "shut a person out: sessions and live flows end, tokens are revoked, machines have no peers", ArgsUsage: "LOGIN", Action: with(disableUser), Flags: []cli.Flag{last, withGrants()}},
		{Name: "enable", Usage: "take that back; the person signs in anew", ArgsUsage: "LOGIN", Action: with(enableUser)},
		{Name: "forget", Usage: "drop who a person is: whoever the provider next calls by that login is them. For a provider that was replaced", ArgsUsage: "LOGIN", Action: with(forgetUser), Flags: []cli.Flag{last}},
		addUserCommand(), resetUserCommand(), groupUserCommand(),
		{Name: "require-sign-in", Usage: "say whether people must be signed in for what the policy lets them do", ArgsUsage: "on|off", Action: with(requireSignIn)},
	}}
}

func sessionCommands() *cli.Command {
	return &cli.Command{Name: "session", Usage: "who is signed in where", Subcommands: []*cli.Command{
		{Name: "list", Usage: "every session that goes on", Action: with(listSessions), Flags: []cli.Flag{
			&cli.StringFlag{Name: "user", Usage: "only those of this person: `LOGIN`"},
			&cli.BoolFlag{Name: "all", Usage: "also those that have ended by time"},
		}},
		{Name: "end", Usage: "sign a person out; what they may only while signed in ends at once", ArgsUsage: "ID", Action: with(endSession)},
	}}
}

func listUsers(c *cli.Context, api *admin.Client) error {
	resp, err := api.ListUsers(c.Context, connect.NewRequest(new(admin.ListUsersRequest)))
	if err != nil {
		return err
	}
	if usage.WantsJSON(c) {
		return printJSON(resp.Msg)
	}
	var rows [][]string
	for _, u := range resp.Msg.Users {
		state := "-"
		switch {
		case u.DirectoryDisabled:
			state = "disabled (directory)"
		case u.Disabled:
			state = "disabled"
		case u.Sessions > 0:
			state = "signed in " + strconv.Itoa(int(u.Sessions)) + "x"
		}
		rows = append(rows, []string{u.Login, u.Name, state, orDash(strings.Join(u.Roles, ",")), strings.Join(u.Groups, ","), u.Issuer, strings.Join(u.Proves, ",")})
	}
	return table("LOGIN NAME STATE ROLES GROUPS ISSUER PROVES-BY", rows)
}

func disableUser(c *cli.Context, api *admin.Client) error {
	a, err := usage.Args(c, "LOGIN")
	if err != nil {
		return err
	}
	resp, err := api.DisableUser(c.Context, connect.NewRequest(&admin.DisableUserRequest{User: a[0], LastOwner: c.Bool("last-owner"), WithGrants: c.Bool("with-grants")}))
	if err != nil {
		return err
	}
	if usage.WantsJSON(c) {
		return printJSON(resp.Msg)
	}
	fmt.Print(shutOut(resp.Msg))
	tellMade(os.Stdout, resp.Msg.User.Login, resp.Msg.Made)
	tellGrants(resp.Msg.User.Login, resp.Msg.Withdrawn, resp.Msg.Granted)
	return nil
}

// shutOut tells what became of a person. A login that nobody has can be shut out before
// anybody comes by it, so that a leaver whose name was mistyped would seem to be.
func shutOut(r *admin.DisableUserResponse) string {
	text := fmt.Sprintf("%s is disabled: %d sessions ended, and the machines that are theirs have no peers\n", r.User.Login, r.Ended)
	if r.User.Issuer == "" && r.User.Record == "" {
		text += "nobody has signed in by that login, and nobody will now: is it typed right? `cordonctl user list` has everybody; `cordonctl user enable " + r.User.Login + "` takes it back\n"
	}
	return text
}

func enableUser(c *cli.Context, api *admin.Client) error {
	a, err := usage.Args(c, "LOGIN")
	if err != nil {
		return err
	}
	resp, err := api.EnableUser(c.Context, connect.NewRequest(&admin.EnableUserRequest{User: a[0]}))
	if err != nil {
		return err
	}
	if usage.WantsJSON(c) {
		return printJSON(resp.Msg)
	}
	fmt.Printf("%s is enabled, and has to sign in anew\n", resp.Msg.User.Login)
	return nil
}

func forgetUser(c *cli.Context, api *admin.Client) error {
	a, err := usage.Args(c, "LOGIN")
	if err != nil {
		return err
	}
	resp, err := api.ForgetUser(c.Context, connect.NewRequest(&admin.ForgetUserRequest{User: a[0], LastOwner: c.Bool("last-owner")}))
	if err != nil {
		return err
	}
	if usage.WantsJSON(c) {
		return printJSON(resp.Msg)
	}
	fmt.Printf("%s is forgotten, with %d sessions: whoever signs in by that login next is them\n", resp.Msg.User.Login, resp.Msg.Ended)
	tellMade(os.Stdout, resp.Msg.User.Login, resp.Msg.Made)
	return nil
}

func requireSignIn(c *cli.Context, api *admin.Client) error {
	a, err := usage.Args(c, "on|off")
	if err != nil {
		return err
	}
	if a[0] != "on" && a[0] != "off" {
		return usage.Bad("require-sign-in", a[0], "on or off")
	}
	resp, err := api.RequireSignIn(c.Context, connect.NewRequest(&admin.RequireSignInRequest{Required: a[0] == "on"}))
	if err != nil {
		return err
	}
	if usage.WantsJSON(c) {
		return printJSON(resp.Msg)
	}
	if a[0] == "on" {
		fmt.Println("what the policy lets people do, they may only while signed in")
	} else {
		fmt.Println("a machine's key alone opens what the policy lets its owner do: whoever steals the machine has it")
	}
	return nil
}

func listSessions(c *cli.Context, api *admin.Client) error {
	resp, err := api.ListSessions(c.Context, connect.NewRequest(&admin.ListSessionsRequest{User: c.String("user"), All: c.Bool("all")}))
	if err != nil {
		return err
	}
	if usage.WantsJSON(c) {
		return printJSON(resp.Msg)
	}
	var rows [][]string
	for _, s := range resp.Msg.Sessions {
		end := "until " + moment(s.Until)
		if !s.Live {
			end = "ended " + moment(s.Until)
		}
		rows = append(rows, []string{s.Id, s.User, s.NodeName, orDash(s.Seat), orDash(strings.Join(s.Addresses, ",")), moment(s.Proved), strings.Join(s.Amr, ","), end})
	}
	return table("ID LOGIN MACHINE SEAT ADDRESSES PROVED HOW END", rows)
}

func endSession(c *cli.Context, api *admin.Client) error {
	a, err := usage.Args(c, "ID")
	if err != nil {
		return err
	}
	resp, err := api.EndSession(c.Context, connect.NewRequest(&admin.EndSessionRequest{Id: a[0]}))
	if err != nil {
		return err
	}
	if usage.WantsJSON(c) {
		return printJSON(resp.Msg)
	}
	fmt.Printf("session %s has ended\n", a[0])
	return nil
}
