package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/urfave/cli/v2"

	"github.com/cordonmesh/cordon/acl/migrate"
	"github.com/cordonmesh/cordon/acl/policy"
	"github.com/cordonmesh/cordon/cmd/internal/usage"
)

// exitUnfaithful is the status of `policy import` when something that opened,
// narrowed or proved could not be carried.
const exitUnfaithful = usage.Exit(2)

func importCommand() *cli.Command {
	return &cli.Command{
		Name: "import", Usage: "print another mesh's policy file in our form, and on standard error what did not come along; needs no coordinator",
		ArgsUsage: "FILE", Action: importPolicy,
		Description: "What is left out opens nothing, and stays in the file as a comment. Exit status: 0 if all that opens or closes\n" +
			"anything came along, 2 if something did not, 1 if the file cannot be taken over.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "from", Usage: "what the file was written for: tailscale or headscale", Value: "tailscale"},
			&cli.StringFlag{Name: "domain", Usage: "`DOMAIN` of the logins of people whom a file of headscale names without one"},
		},
	}
}

func importPolicy(c *cli.Context) error {
	_, text, name, err := policyArgument(c)
	if err != nil {
		return err
	}
	o := migrate.Options{Domain: c.String("domain")}
	switch from := c.String("from"); {
	case from == "headscale":
		o.From = migrate.Headscale
	case from != "tailscale":
		return usage.Bad("from", from, "tailscale or headscale")
	case o.Domain != "":
		return errors.New("--domain is for files of headscale: there people have logins")
	}
	carried, err := o.File(name, []byte(text))
	if errors.Is(err, migrate.ErrYAML) {
		return err
	}
	if _, unread := policy.Format(name, []byte(text)); err != nil && unread != nil {
		return fmt.Errorf("%s is no policy file:\n%w", name, unread)
	}
	var all policy.Errors
	if errors.As(err, &all) {
		printProblems(problemsOf(all), text)
		return fmt.Errorf("%s cannot be taken over without %s: leaving it out could open more", name, count(len(all), "thing"))
	}
	switch {
	case err != nil:
		return err
	case usage.WantsJSON(c):
		err = usage.PrintJSON(carried)
	default:
		printItems(os.Stderr, name, carried.Items)
		_, err = io.WriteString(c.App.Writer, carried.Policy)
	}
	if err == nil && !carried.Faithful() {
		return exitUnfaithful
	}
	return err
}

// printItems says of each thing in the file what became of it. Of what is the same in
// other words it gives the number.
func printItems(w io.Writer, name string, items []migrate.Item) {
	same := 0
	for _, item := range items {
		if item.Effect == migrate.Same {
			same++
			continue
		}
		fmt.Fprintf(w, "%s:%s\n", visible(name), visible(item.String()))
	}
	if same > 0 {
		fmt.Fprintf(w, "%s: %s written in our words\n", visible(name), count(same, "name"))
	}
}
