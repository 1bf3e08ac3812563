package main

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"

	"connectrpc.com/connect"
	"github.com/urfave/cli/v2"

	"github.com/cordonmesh/cordon/cmd/internal/usage"
	"github.com/cordonmesh/cordon/coordinator/admin"
)

func nodeCommands() *cli.Command {
	return &cli.Command{Name: "node", Usage: "the machines of the mesh", Subcommands: append([]*cli.Command{
		{Name: "list", Usage: "every node", Action: with(listNodes), Flags: []cli.Flag{
			&cli.BoolFlag{Name: "waiting", Usage: "only those that wait for approval, with what is known of them"},
		}},
		{Name: "show", Usage: "all about one node", ArgsUsage: "NODE", Action: with(showNode)},
		{Name: "remove", Usage: "take a node away for good: its key never comes back", ArgsUsage: "NODE", Action: with(removeNode), Flags: []cli.Flag{unasked()}},
		{Name: "tag", Usage: "give a node exactly these tags", ArgsUsage: "NODE [TAG...]", Action: with(tagNode)},
	}, append(approvalCommands(), expiryCommands()...)...)}
}

func routeCommands() *cli.Command {
	return &cli.Command{Name: "route", Usage: "prefixes behind gateways", Subcommands: []*cli.Command{
		{Name: "list", Usage: "every advertised prefix", Action: with(listRoutes)},
		{Name: "approve", Usage: "let a node carry a prefix", ArgsUsage: "NODE PREFIX", Action: with(approveRoute), Flags: []cli.Flag{
			&cli.BoolFlag{Name: "withdraw", Usage: "end it instead"},
		}},
	}}
}

func listNodes(c *cli.Context, api *admin.Client) error {
	resp, err := api.ListNodes(c.Context, connect.NewRequest(&admin.ListNodesRequest{}))
	if err != nil {
		return err
	}
	if c.Bool("waiting") {
		resp.Msg.Nodes = slices.DeleteFunc(resp.Msg.Nodes, func(n *admin.Node) bool { return n.Approved })
		slices.SortStableFunc(resp.Msg.Nodes, func(a, b *admin.Node) int { return cmp.Compare(a.Created, b.Created) })
	}
	switch {
	case usage.WantsJSON(c):
		return printJSON(resp.Msg)
	case c.Bool("waiting"):
		return listWaiting(resp.Msg.Nodes)
	}
	var rows [][]string
	for _, n := range resp.Msg.Nodes {
		rows = append(rows, []string{n.Name, n.Id, strings.Join(n.Addresses, ","), orDash(n.User + strings.Join(n.Tags, ",")), nodeState(n)})
	}
	if err := table("NAME ID ADDRESSES OWNER STATE", rows); err != nil {
		return err
	}
	for _, n := range resp.Msg.Nodes {
		for _, w := range n.Warnings {
			fmt.Fprintf(os.Stderr, "warning: %s: %s\n", n.Name, w)
		}
	}
	return nil
}

func nodeState(n *admin.Node) string {
	switch {
	case !n.Approved:
		return "waits for approval"
	case n.Expired:
		return "expired"
	case n.Connected:
		return "connected"
	}
	return "last seen " + moment(n.LastSeen)
}

func showNode(c *cli.Context, api *admin.Client) error {
	a, err := usage.Args(c, "NODE")
	if err != nil {
		return err
	}
	resp, err := api.GetNode(c.Context, connect.NewRequest(&admin.GetNodeRequest{Node: a[0]}))
	if err != nil {
		return err
	}
	return printNode(c, resp.Msg.Node)
}

func printNode(c *cli.Context, n *admin.Node) error {
	if usage.WantsJSON(c) {
		return printJSON(n)
	}
	details(os.Stdout, [][2]string{
		{"name", n.Name}, {"id", n.Id}, {"key", n.NodeKey}, {"owner", ownerOf(n)},
		{"addresses", strings.Join(n.Addresses, " ")}, {"state", nodeState(n)}, {"joined", moment(n.Created)},
		{"from", orDash(n.From)}, {"admitted", admittedBy(n)}, {"expires", moment(n.Expires)},
		{"enforces", fmt.Sprintf("revision %d", n.Acknowledged)}, {"runs", runs(n)},
		{"endpoints", orDash(strings.Join(n.Endpoints, " "))}, {"advertises", orDash(strings.Join(n.Advertised, " "))},
		{"carries", orDash(strings.Join(n.Routes, " "))},
	})
	for _, w := range n.Warnings {
		fmt.Fprintln(os.Stderr, "warning:", w)
	}
	return nil
}

func removeNode(c *cli.Context, api *admin.Client) error {
	a, err := usage.Args(c, "NODE")
	if err != nil {
		return err
	}
	node, err := forGood(c, api, a[0], "remove it")
	if err != nil {
		return err
	}
	resp, err := api.RemoveNode(c.Context, connect.NewRequest(&admin.RemoveNodeRequest{Node: node}))
	if err != nil {
		return err
	}
	if usage.WantsJSON(c) {
		return printJSON(resp.Msg)
	}
	fmt.Printf("%s is removed; revocation epoch %d\n", a[0], resp.Msg.Epoch)
	return nil
}

func tagNode(c *cli.Context, api *admin.Client) error {
	if c.NArg() < 1 {
		return errors.New("want NODE [TAG...]: see `cordonctl node tag --help`")
	}
	resp, err := api.TagNode(c.Context, connect.NewRequest(&admin.TagNodeRequest{Node: c.Args().First(), Tags: c.Args().Tail()}))
	if err != nil {
		return err
	}
	return printNode(c, resp.Msg.Node)
}

func listRoutes(c *cli.Context, api *admin.Client) error {
	resp, err := api.ListRoutes(c.Context, connect.NewRequest(&admin.ListRoutesRequest{}))
	if err != nil {
		return err
	}
	if usage.WantsJSON(c) {
		return printJSON(resp.Msg)
	}
	var rows [][]string
	for _, r := range resp.Msg.Routes {
		rows = append(rows, []string{r.NodeName, r.Prefix, yes(r.Approved), orDash(r.ApprovedBy)})
	}
	return table("NODE PREFIX APPROVED BY", rows)
}

func approveRoute(c *cli.Context, api *admin.Client) error {
	a, err := usage.Args(c, "NODE", "PREFIX")
	if err != nil {
		return err
	}
	if p, err := netip.ParsePrefix(a[1]); err != nil || p != p.Masked() {
		return usage.Bad("PREFIX", a[1], "one without host bits, such as 10.20.30.0/24")
	}
	resp, err := api.ApproveRoute(c.Context, connect.NewRequest(&admin.ApproveRouteRequest{Node: a[0], Prefix: a[1], Withdraw: c.Bool("withdraw")}))
	if err != nil {
		return err
	}
	if usage.WantsJSON(c) {
		return printJSON(resp.Msg)
	}
	fmt.Printf("%s through %s: approved %s\n", resp.Msg.Route.Prefix, resp.Msg.Route.NodeName, yes(resp.Msg.Route.Approved))
	return nil
}
