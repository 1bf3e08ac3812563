package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"connectrpc.com/connect"
	"github.com/urfave/cli/v2"

	"github.com/cordonmesh/cordon/cmd/internal/usage"
	"github.com/cordonmesh/cordon/coordinator/admin"
)

func tokenCommands() *cli.Command {
	return &cli.Command{Name: "token", Usage: "strings with which machines join and operators operate", Subcommands: []*cli.Command{
		{Name: "create", Usage: "make a token; its text is shown this once", Action: with(createToken), Flags: []cli.Flag{
			&cli.StringFlag{Name: "user", Usage: "the machine will be this person's: `LOGIN`"},
			&cli.StringSliceFlag{Name: "tag", Usage: "the machine will have this `TAG`; may be repeated"},
			&cli.DurationFlag{Name: "lifetime", Usage: "how long it is good for", Value: time.Hour},
			&cli.UintFlag{Name: "uses", Usage: "how many machines may join with it", Value: 1},
			&cli.BoolFlag{Name: "hold", Usage: "the machine waits until `node approve`"},
			&cli.BoolFlag{Name: "admin", Usage: "make an admin credential instead"},
			&cli.StringFlag{Name: "scope", Usage: "comma-separated `SCOPES` of an admin credential: desk, sessions, read, nodes, tokens, users, policy, audit, backup, roles, scim", Value: "read"},
			&cli.StringFlag{Name: "role", Usage: "instead of --scope, what a `ROLE` allows: owner, policy-admin, device-admin, auditor, help-desk"},
		}},
		{Name: "list", Usage: "every token, without its text", Action: with(listTokens)},
		{Name: "revoke", Usage: "end a token", ArgsUsage: "ID", Action: with(revokeToken)},
	}}
}

const maxUses = 100_000

func createToken(c *cli.Context, api *admin.Client) error {
	r, err := tokenRequest(c)
	if err != nil {
		return err
	}
	resp, err := api.CreateToken(c.Context, connect.NewRequest(r))
	if err != nil {
		return err
	}
	if usage.WantsJSON(c) {
		return printJSON(resp.Msg)
	}
	t := resp.Msg.Token
	fmt.Fprintf(os.Stderr, "token %s, good until %s; this text is shown only now:\n", t.Id, moment(t.Expires))
	fmt.Println(resp.Msg.Text)
	return nil
}

func tokenRequest(c *cli.Context) (*admin.CreateTokenRequest, error) {
	r := &admin.CreateTokenRequest{
		Kind: admin.TokenKind_TOKEN_KIND_ENROL, User: c.String("user"), Tags: c.StringSlice("tag"),
		Lifetime: int64(c.Duration("lifetime") / time.Second), Uses: uint32(c.Uint("uses")), NeedsApproval: c.Bool("hold"),
	}
	if r.Lifetime <= 0 {
		return nil, usage.Bad("lifetime", c.Duration("lifetime").String(), "at least a second, such as 1h")
	}
	if n := c.Uint("uses"); n < 1 || n > maxUses {
		return nil, usage.Bad("uses", strconv.FormatUint(uint64(n), 10), fmt.Sprintf("1 to %d machines", maxUses))
	}
	if c.Bool("admin") {
		if r.User != "" || len(r.Tags) > 0 {
			return nil, errors.New("an admin credential has scopes, neither --user nor --tag")
		}
		return adminRequest(c, r.Lifetime)
	}
	if c.IsSet("role") {
		return nil, errors.New("a role is for an admin credential: give --admin too")
	}
	if (r.User == "") == (len(r.Tags) == 0) {
		return nil, errors.New("whose will the machine be? give --user LOGIN or --tag TAG")
	}
	return r, nil
}

func adminRequest(c *cli.Context, lifetime int64) (*admin.CreateTokenRequest, error) {
	r := &admin.CreateTokenRequest{Kind: admin.TokenKind_TOKEN_KIND_ADMIN, Lifetime: lifetime, Role: c.String("role")}
	switch {
	case r.Role == "":
		r.Scopes = strings.Split(c.String("scope"), ",")
	case c.IsSet("scope"):
		return nil, errors.New("an admin credential has scopes or a role: give --scope or --role")
	}
	return r, nil
}

func listTokens(c *cli.Context, api *admin.Client) error {
	resp, err := api.ListTokens(c.Context, connect.NewRequest(&admin.ListTokensRequest{}))
	if err != nil {
		return err
	}
	if usage.WantsJSON(c) {
		return printJSON(resp.Msg)
	}
	var rows [][]string
	for _, t := range resp.Msg.Tokens {
		use := "joins " + orDash(t.User+strings.Join(t.Tags, ",")) + ", " + strconv.Itoa(int(t.UsesLeft)) + " left"
		if t.Kind == admin.TokenKind_TOKEN_KIND_ADMIN {
			use = "admin " + cmp.Or(t.Role, strings.Join(t.Scopes, ","))
			if t.Holder != "" {
				use = "session of " + t.Holder
			}
		}
		rows = append(rows, []string{t.Id, use, tokenState(t), t.CreatedBy})
	}
	return table("ID USE STATE BY", rows)
}

func tokenState(t *admin.Token) string {
	switch {
	case t.Revoked:
		return "revoked"
	case t.Expires <= time.Now().Unix():
		return "expired " + moment(t.Expires)
	case t.Kind == admin.TokenKind_TOKEN_KIND_ENROL && t.UsesLeft == 0:
		return "spent"
	case t.Rests:
		return "rests, until " + moment(t.Expires)
	}
	return "until " + moment(t.Expires)
}

func revokeToken(c *cli.Context, api *admin.Client) error {
	a, err := usage.Args(c, "ID")
	if err != nil {
		return err
	}
	resp, err := api.RevokeToken(c.Context, connect.NewRequest(&admin.RevokeTokenRequest{Id: a[0]}))
	if err != nil {
		return err
	}
	if usage.WantsJSON(c) {
		return printJSON(resp.Msg)
	}
	fmt.Printf("token %s is revoked; machines that joined with it stay\n", a[0])
	return nil
}
