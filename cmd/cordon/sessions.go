package main

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/cordonmesh/cordon/cmd/internal/usage"
	"github.com/cordonmesh/cordon/node/local"
)

func sessionCommands() []*cli.Command {
	return []*cli.Command{
		{Name: "login", Usage: "sign in at this machine: prints the address for a browser, here or on a phone, and waits until that is done", Action: login, Flags: []cli.Flag{
			&cli.BoolFlag{Name: "device-code", Usage: "sign in at the provider's own page with a code, if no browser of yours reaches the coordinator"},
			&cli.BoolFlag{Name: "afresh", Usage: "prove anew who you are, even if the provider remembers you"},
			&cli.StringFlag{Name: "acr", Usage: "ask the provider for a proof of this `LEVEL`, as a rule needs it; refused if it gives none"},
		}},
		{Name: "logout", Usage: "sign out at this machine: everybody, or one session of `cordon sessions`; where several people use it, yourself, or as root everybody", ArgsUsage: "[SESSION]", Action: logout},
		{Name: "whoami", Usage: "who is signed in at this machine; exit status 1 if nobody is", Action: whoami},
		{Name: "sessions", Usage: "the sessions of people at this machine, ended ones too", Action: sessions},
	}
}

func logout(c *cli.Context) error {
	if c.NArg() > 1 {
		return errors.New("want one SESSION or none: see `cordon logout --help`")
	}
	api := daemon(c)
	defer api.Close()
	r, err := api.Logout(c.Context, local.LogoutRequest{Session: c.Args().First()})
	if err != nil {
		return err
	}
	if usage.WantsJSON(c) {
		return usage.PrintJSON(r)
	}
	switch {
	case r.Away:
		fmt.Printf("signed out here: %d; %s\n", r.Ended, toldLater)
	case r.Ended > 0:
		fmt.Printf("signed out: %d at this machine\n", r.Ended)
	case c.NArg() > 0:
		return fmt.Errorf("there is no session %q here: see `cordon sessions`", c.Args().First())
	default:
		fmt.Println("nobody was signed in")
	}
	return nil
}

func whoami(c *cli.Context) error {
	api := daemon(c)
	defer api.Close()
	r, err := api.Sessions(c.Context)
	if err != nil {
		return err
	}
	all := r.Sessions
	r.Sessions = live(all)
	if usage.WantsJSON(c) {
		if err := usage.PrintJSON(r); err != nil {
			return err
		}
	} else {
		for _, s := range r.Sessions {
			fmt.Printf("%s, signed in since %s, until %s%s%s\n", visible(s.User), clock(s.At), clock(s.Until), how(s), where(s))
		}
		fmt.Print(signedOutHere(all))
	}
	if len(r.Sessions) == 0 {
		return errors.New(nobody(r.Shared))
	}
	return nil
}

const toldLater = "the coordinator is told when it can be reached"

// signedOutHere tells of whom the coordinator may still take to be signed in.
func signedOutHere(all []local.Session) string {
	var out strings.Builder
	for _, s := range all {
		if s.SignedOut {
			fmt.Fprintf(&out, "%s signed out here; %s\n", visible(s.User), toldLater)
		}
	}
	return out.String()
}

// nobody says what to do where no session is shown.
func nobody(shared bool) string {
	if shared {
		return "you are not signed in: `cordon login`"
	}
	return "nobody is signed in: `cordon login`"
}

// where tells whose programs speak with which addresses, at a machine of several
// people.
func where(s local.Session) string {
	if s.Account == "" {
		return ""
	}
	text := ", for the account " + account(s.Account)
	for i, a := range s.Addresses {
		text += []string{", with ", " and "}[min(i, 1)] + a.String()
	}
	return text
}

// account names an account as its users know it.
func account(uid string) string {
	if u, err := user.LookupId(uid); err == nil {
		return visible(u.Username)
	}
	return visible(uid)
}

func sessions(c *cli.Context) error {
	api := daemon(c)
	defer api.Close()
	r, err := api.Sessions(c.Context)
	if err != nil {
		return err
	}
	if usage.WantsJSON(c) {
		return usage.PrintJSON(r)
	}
	if len(r.Sessions) == 0 {
		fmt.Println("there are no sessions at this machine")
		return nil
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "SESSION\tUSER\tSINCE\tUNTIL\tHOW"+map[bool]string{true: "\tACCOUNT\tADDRESSES"}[r.Shared])
	for _, s := range r.Sessions {
		until := clock(s.Until)
		switch {
		case s.SignedOut:
			until += ", signed out here; " + toldLater
		case s.Ended:
			until += ", ended"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s", visible(s.ID), visible(s.User), clock(s.At), until, strings.TrimPrefix(how(s), ", by "))
		if r.Shared {
			fmt.Fprintf(w, "\t%s\t%s", account(s.Account), strings.Trim(fmt.Sprint(s.Addresses), "[]"))
		}
		fmt.Fprintln(w)
	}
	return w.Flush()
}

func live(all []local.Session) []local.Session {
	return slices.DeleteFunc(slices.Clone(all), func(s local.Session) bool { return s.Ended })
}

// how tells by what a person proved who they are, behind a sentence.
func how(s local.Session) string {
	by := strings.Join(s.AMR, "+")
	if s.ACR != "" {
		by = strings.TrimSpace(by + " (" + s.ACR + ")")
	}
	if by == "" {
		return ""
	}
	return ", by " + visible(by)
}

// people tells of a running node who is signed in, and what to do if nobody is.
func people(s *local.Status) string {
	var out strings.Builder
	if s.SignedOut {
		out.WriteString(nobody(s.Shared) + "\n")
	}
	for _, one := range live(s.Sessions) {
		fmt.Fprintf(&out, "%s is signed in until %s%s%s\n", visible(one.User), clock(one.Until), how(one), where(one))
	}
	out.WriteString(signedOutHere(s.Sessions))
	if s.Login != nil {
		fmt.Fprintf(&out, "a sign-in waits for a browser until %s: %s\n", clock(s.Login.Until), visible(s.Login.URL))
	}
	return out.String()
}

// sessionEndings warns of people whose last session here ends soon.
func sessionEndings(s *local.Status, now time.Time) (out []warning) {
	last := map[string]local.Session{}
	var users []string
	for _, one := range live(s.Sessions) {
		if _, known := last[one.User]; !known {
			users = append(users, one.User)
		}
		if one.Until.After(last[one.User].Until) {
			last[one.User] = one
		}
	}
	for _, user := range users {
		w := warning{what: "session " + last[user].ID, at: last[user].Until}
		in, who := left(w.at.Sub(now)), visible(user)
		switch w.stage(now) {
		case 2:
			w.text = fmt.Sprintf("ends in %s: the session of %s, and what is open by it: save your work, then `cordon login`", in, who)
		case 1:
			w.text = fmt.Sprintf("ends in %s: the session of %s: `cordon login` before that, and nothing is cut off", in, who)
		default:
			continue
		}
		out = append(out, w)
	}
	return out
}
