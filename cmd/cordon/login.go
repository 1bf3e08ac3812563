package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/cordonmesh/cordon/cmd/internal/usage"
	"github.com/cordonmesh/cordon/node/local"
)

// login prints where to go and opens no browser: the daemon's machine may have
// none, and a tool that root runs must not start one as root.
func login(c *cli.Context) error {
	api := daemon(c)
	defer api.Close()
	l, err := api.Login(c.Context, local.LoginRequest{DeviceCode: c.Bool("device-code"), Afresh: c.Bool("afresh"), ACR: c.String("acr")})
	if err != nil {
		return err
	}
	if usage.WantsJSON(c) {
		err = usage.PrintJSON(l)
	} else {
		fmt.Print(invitation(l, c.Bool("device-code")), qrForTerminal(l.URL))
	}
	if err != nil {
		return err
	}
	o, err := api.AwaitLogin(c.Context, local.AwaitLoginRequest{ID: l.ID})
	if c.Context.Err() != nil {
		return fmt.Errorf("stopped waiting; the sign-in can still be finished until %s: see `cordon whoami`", clock(l.Until))
	}
	if err != nil {
		return err
	}
	if usage.WantsJSON(c) {
		if err := usage.PrintJSON(o); err != nil {
			return err
		}
	}
	return ending(c, l, o)
}

// ending tells how a sign-in ended; any end but one is an error.
func ending(c *cli.Context, l *local.Login, o *local.LoginOutcome) error {
	switch {
	case o.State == local.LoginRefused:
		return fmt.Errorf("the sign-in was refused: %s", visible(o.Reason))
	case o.State == local.LoginExpired:
		return fmt.Errorf("nobody signed in before %s: `cordon login` begins again", clock(l.Until))
	case o.State != local.LoginDone || o.Session == nil:
		return errors.New("the daemon tells of no session: is it of another version?")
	}
	if !usage.WantsJSON(c) {
		fmt.Printf("%s is signed in until %s%s\n", visible(o.Session.User), clock(o.Session.Until), how(*o.Session))
	}
	return nil
}

// invitation says where to go, and how a person knows that it is their own
// sign-in which they confirm there.
func invitation(l *local.Login, asks bool) string {
	text := fmt.Sprintf("to sign in, open this address in a browser, here or on a phone, before %s:\n\n    %s\n\n", clock(l.Until), visible(l.URL))
	switch {
	case l.Code == "":
	case asks:
		text += fmt.Sprintf("and give it this code: %s\n\n", visible(l.Code))
	default:
		text += fmt.Sprintf("go on there only if the page shows this code: %s\n\n", visible(l.Code))
	}
	return text
}

// clock gives a moment for people: the day too, if it is another.
func clock(t time.Time) string {
	t = t.Local()
	if now := time.Now(); t.YearDay() == now.YearDay() && t.Year() == now.Year() {
		return t.Format("15:04")
	}
	return t.Format("2006-01-02 15:04")
}
