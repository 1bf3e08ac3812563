package main

import (
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/cordonmesh/cordon/coordinator/admin"
)

func withGrants() cli.Flag {
	return &cli.BoolFlag{Name: "with-grants", Usage: "take also the roles that they granted to others, with what these granted in turn; not yours. For a stolen account; a leaver's colleagues keep theirs"}
}

// printGrants tells below the roles how their holders came to them.
func printGrants(roles []*admin.RoleDescription) error {
	var rows [][]string
	for _, r := range roles {
		told := map[string]bool{}
		for _, g := range r.Grants {
			by := g.By
			if g.Doubt != "" {
				by += " (who " + g.Doubt + ")"
			}
			told[g.User] = true
			rows = append(rows, []string{g.User, g.Role, by, moment(g.At)})
		}
		for _, login := range r.Holders {
			if !told[login] {
				rows = append(rows, []string{login, r.Name, "-", "-"}) // from before that was kept
			}
		}
	}
	if len(rows) == 0 {
		return nil
	}
	fmt.Println()
	return table("LOGIN ROLE GRANTED-BY WHEN", rows)
}

// tellGrants tells of the roles that somebody granted who could grant them no more.
func tellGrants(login string, withdrawn, granted []*admin.RoleGrant) {
	for _, g := range withdrawn {
		fmt.Printf("%s is %s no more\n", visible(g.User), g.Role)
	}
	if len(granted) == 0 {
		return
	}
	fmt.Printf("%s granted roles, which stay. Take those that nobody stands by, or grant them anew in your name:\n", visible(login))
	for _, g := range granted {
		fmt.Printf("  cordonctl role revoke %s %s    # granted %s\n", visible(g.User), g.Role, moment(g.At))
	}
}
