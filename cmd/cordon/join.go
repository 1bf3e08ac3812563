package main

import (
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/cordonmesh/cordon/cmd/internal/usage"
	"github.com/cordonmesh/cordon/node/local"
)

// joinByLogin has the machine join by its person's sign-in, and returns when it is
// in the mesh. The daemon goes on waiting if this program is stopped.
func joinByLogin(c *cli.Context, api *local.Client) error {
	j, err := api.Join(c.Context, local.JoinRequest{URL: c.String("coordinator"), Fingerprint: c.String("fingerprint"), Name: c.String("name")})
	if err != nil {
		return err
	}
	if usage.WantsJSON(c) {
		err = usage.PrintJSON(j)
	} else if j.Login != nil {
		fmt.Print(joinInvitation(j), qrForTerminal(j.Login.URL))
	}
	if err != nil || j.Login == nil {
		return err
	}
	o, err := api.AwaitJoin(c.Context, local.AwaitLoginRequest{ID: j.Login.ID})
	switch {
	case c.Context.Err() != nil:
		return fmt.Errorf("stopped waiting; the sign-in can still be finished until %s: see `cordon status`", clock(j.Login.Until))
	case err != nil:
		return err
	case o.State == local.LoginRefused:
		return fmt.Errorf("this machine has not joined: %s", visible(o.Reason))
	case o.State != local.LoginDone:
		return fmt.Errorf("nobody signed in before %s: the same command begins again", clock(j.Login.Until))
	}
	return nil
}

// joinInvitation says where to go, and how a person knows that it is their own
// machine which they let in there.
func joinInvitation(j *local.JoinResponse) string {
	return fmt.Sprintf("to join as your machine, open this address in a browser, here or on a phone, before %s, and sign in:\n\n    %s\n\n"+
		"go on there only if the page shows this code and this fingerprint:\n\n    %s\n    %s\n\n", clock(j.Login.Until), visible(j.Login.URL), visible(j.Login.Code), j.Node)
}
