package main

import (
	"fmt"
	"os"
	"strconv"

	"connectrpc.com/connect"
	"github.com/urfave/cli/v2"

	"github.com/cordonmesh/cordon/cmd/internal/usage"
	"github.com/cordonmesh/cordon/coordinator/admin"
)

func logPolicy(c *cli.Context, api *admin.Client) error {
	resp, err := api.LogPolicy(c.Context, connect.NewRequest(&admin.LogPolicyRequest{Limit: uint32(c.Uint("limit")), Before: c.Uint64("before")}))
	if err != nil {
		return err
	}
	if usage.WantsJSON(c) {
		return printJSON(resp.Msg)
	}
	var rows [][]string
	for i, e := range resp.Msg.Edits {
		lines, reach := "-", "-"
		switch {
		case e.Oldest:
		case e.Untold:
			lines, reach = "?", "?"
		default:
			lines = fmt.Sprintf("+%d -%d", e.LinesAdded, e.LinesRemoved)
			reach = fmt.Sprintf("+%d -%d", e.Gained, e.Lost)
		}
		rows = append(rows, []string{strconv.FormatUint(e.Revision, 10), moment(e.Time), e.Author, e.File, lines, reach, became(e, i == 0 && c.Uint64("before") == 0)})
	}
	if err := table("REVISION TIME AUTHOR FILE LINES REACH STATUS", rows); err != nil {
		return err
	}
	if resp.Msg.Older != 0 {
		fmt.Fprintf(os.Stderr, "older ones: cordonctl policy log --before %d\n", resp.Msg.Older)
	}
	return nil
}

// became says what became of an edit, and what it would meet today.
func became(e *admin.PolicyEdit, latest bool) string {
	text := fate(e, latest)
	if e.Problems > 0 {
		text += ", would be refused today"
	}
	if e.Untold {
		text += fmt.Sprintf("; takes too much to tell here: cordonctl policy diff --revision %d", e.Revision)
	}
	return text
}

func fate(e *admin.PolicyEdit, latest bool) string {
	text := "replaced"
	switch {
	case e.RevertedBy != 0:
		return fmt.Sprintf("not confirmed, rolled back by %d", e.RevertedBy)
	case latest && e.Until != 0 && e.ConfirmedBy == "":
		return "in force, awaits confirmation until " + moment(e.Until)
	case latest:
		text = "in force"
	}
	switch {
	case e.ConfirmedBy != "":
		text += ", confirmed by " + e.ConfirmedBy
	case e.Reverts != 0:
		text += fmt.Sprintf(", rolled %d back", e.Reverts)
	}
	return text
}
