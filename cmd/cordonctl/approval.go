package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"connectrpc.com/connect"
	"github.com/urfave/cli/v2"

	"github.com/cordonmesh/cordon/cmd/internal/usage"
	"github.com/cordonmesh/cordon/coordinator/admin"
)

// approvalCommands let machines in that wait, have them wait again, or turn them away.
func approvalCommands() []*cli.Command {
	return []*cli.Command{
		{Name: "approve", Usage: "let a waiting node in, after a look at it", ArgsUsage: "NODE", Action: with(approveNode), Flags: []cli.Flag{
			&cli.BoolFlag{Name: "yes", Usage: "do not ask"},
			&cli.StringFlag{Name: "fingerprint", Usage: "let it in only if this is its `FINGERPRINT`, as the person at the machine reads it out from `cordon status`; blanks and case do not matter"},
		}},
		{Name: "hold", Usage: "shut a node out until `cordonctl node approve` lets it in again: it has no peers, and keeps its name and addresses", ArgsUsage: "NODE", Action: with(holdNode)},
		{Name: "reject", Usage: "turn a waiting node away for good: its key never comes back", ArgsUsage: "NODE", Action: with(rejectNode), Flags: []cli.Flag{unasked()}},
	}
}

// holdNode asks nothing: it is for the moment at which nobody knows who is at the machine,
// and is undone by approve.
func holdNode(c *cli.Context, api *admin.Client) error {
	a, err := usage.Args(c, "NODE")
	if err != nil {
		return err
	}
	resp, err := api.HoldNode(c.Context, connect.NewRequest(&admin.HoldNodeRequest{Node: a[0]}))
	if err != nil {
		return err
	}
	return printNode(c, resp.Msg.Node)
}

func approveNode(c *cli.Context, api *admin.Client) error {
	a, err := usage.Args(c, "NODE")
	if err != nil {
		return err
	}
	resp, err := api.GetNode(c.Context, connect.NewRequest(&admin.GetNodeRequest{Node: a[0]}))
	if err != nil {
		return err
	}
	n := resp.Msg.Node
	if n.Approved && c.String("fingerprint") == "" {
		return printNode(c, n)
	}
	if err := confirmApproval(c, n); err != nil {
		return err
	}
	// By its id: whoever waits under this name meanwhile was not looked at.
	done, err := api.ApproveNode(c.Context, connect.NewRequest(&admin.ApproveNodeRequest{Node: n.Id, Fingerprint: c.String("fingerprint")}))
	if err != nil {
		return err
	}
	return printNode(c, done.Msg.Node)
}

// confirmApproval shows who asks to be let in. A fingerprint that was given is the
// answer: it was read out at the machine.
func confirmApproval(c *cli.Context, n *admin.Node) error {
	if c.Bool("yes") || c.String("fingerprint") != "" {
		return nil
	}
	details(os.Stderr, applicant(n))
	if !onTerminal() {
		return noTerminal("compare the fingerprint of " + n.Name + " with `cordon status` there, then give it in --fingerprint, or add --yes")
	}
	if !agreed("does the person at the machine read out this fingerprint, and is it to be let in?") {
		return errors.New("nothing was changed; `cordonctl node reject` turns it away")
	}
	return nil
}

// applicant tells all that is known of a machine that asks to be let in.
func applicant(n *admin.Node) [][2]string {
	return [][2]string{
		{"name", n.Name}, {"fingerprint", n.Id}, {"for", ownerOf(n)}, {"admitted by", admittedBy(n)},
		{"from", orDash(n.From)}, {"runs", runs(n)}, {"asked", moment(n.Created)},
	}
}

// ownerOf gives whose a machine is: a person's, or that of its tags.
func ownerOf(n *admin.Node) string { return orDash(n.User + strings.Join(n.Tags, " ")) }

func runs(n *admin.Node) string { return orDash(n.Version) + " on " + orDash(n.Os) }

// admittedBy says what vouches for a machine.
func admittedBy(n *admin.Node) string {
	if p := n.Proof; p != nil {
		return fmt.Sprintf("sign-in of %s (%s)", p.Login, howProved(p))
	}
	return "token " + orDash(n.Token)
}

// howProved says by what a person proved who they are.
func howProved(p *admin.JoinProof) string {
	how := append(slices.Clone(p.Amr), p.Acr)
	how = slices.DeleteFunc(how, func(word string) bool { return word == "" })
	if len(how) == 0 {
		return "the provider does not say how"
	}
	return strings.Join(how, ", ")
}

func rejectNode(c *cli.Context, api *admin.Client) error {
	a, err := usage.Args(c, "NODE")
	if err != nil {
		return err
	}
	node, err := forGood(c, api, a[0], "turn it away")
	if err != nil {
		return err
	}
	resp, err := api.RejectNode(c.Context, connect.NewRequest(&admin.RejectNodeRequest{Node: node}))
	if err != nil {
		return err
	}
	if usage.WantsJSON(c) {
		return printJSON(resp.Msg)
	}
	fmt.Printf("%s is turned away; revocation epoch %d\n", a[0], resp.Msg.Epoch)
	return nil
}

// listWaiting lists the machines that wait for an admin, in the order in which they came.
func listWaiting(nodes []*admin.Node) error {
	var rows [][]string
	for _, n := range nodes {
		rows = append(rows, []string{n.Name, n.Id, orDash(n.User + strings.Join(n.Tags, ",")), admittedBy(n), orDash(n.From),
			runs(n), moment(n.Created)})
	}
	return table("NAME FINGERPRINT FOR ADMITTED-BY FROM RUNS ASKED", rows)
}
