package main

import (
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"connectrpc.com/connect"
	"github.com/urfave/cli/v2"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/cordonmesh/cordon/cmd/internal/usage"
	"github.com/cordonmesh/cordon/coordinator/admin"
)

func auditCommands() *cli.Command {
	after := &cli.Uint64Flag{Name: "after", Usage: "only what came after this `SEQUENCE`"}
	return &cli.Command{Name: "audit", Usage: "who changed or was refused what", Subcommands: []*cli.Command{
		{Name: "list", Usage: "the records, oldest first", Action: with(listAudit), Flags: []cli.Flag{after,
			&cli.UintFlag{Name: "limit", Usage: "at most so many", Value: 100}}},
		{Name: "verify", Usage: "whether the chain is whole", Action: with(verifyAudit)},
		{Name: "export", Usage: "all of it as JSON Lines, to keep elsewhere", Action: with(exportAudit), Flags: []cli.Flag{after}},
	}}
}

func listAudit(c *cli.Context, api *admin.Client) error {
	resp, err := api.ListAudit(c.Context, connect.NewRequest(&admin.ListAuditRequest{After: c.Uint64("after"), Limit: uint32(c.Uint("limit"))}))
	if err != nil {
		return err
	}
	if usage.WantsJSON(c) {
		return printJSON(resp.Msg)
	}
	var rows [][]string
	for _, r := range resp.Msg.Records {
		at := time.UnixMilli(r.Time).Local().Format("2006-01-02 15:04:05")
		rows = append(rows, []string{strconv.FormatUint(r.Sequence, 10), at, r.Actor, r.Action, r.Object, r.Detail})
	}
	return table("SEQUENCE TIME ACTOR ACTION OBJECT DETAIL", rows)
}

func verifyAudit(c *cli.Context, api *admin.Client) error {
	resp, err := api.VerifyAudit(c.Context, connect.NewRequest(&admin.VerifyAuditRequest{}))
	if err != nil {
		return err
	}
	v := resp.Msg
	if usage.WantsJSON(c) {
		if err := printJSON(v); err != nil {
			return err
		}
	}
	if !v.Ok {
		return errors.New(v.Message)
	}
	if !usage.WantsJSON(c) {
		fmt.Printf("the chain of %d records is whole; its head is %s\n", v.Records, hex.EncodeToString(v.Head))
	}
	return nil
}

func exportAudit(c *cli.Context, api *admin.Client) error {
	stream, err := api.ExportAudit(c.Context, connect.NewRequest(&admin.ExportAuditRequest{After: c.Uint64("after")}))
	if err != nil {
		return err
	}
	defer stream.Close()
	for stream.Receive() {
		line, err := protojson.Marshal(stream.Msg())
		if err != nil {
			return err
		}
		if _, err := os.Stdout.Write(append(line, '\n')); err != nil {
			return err
		}
	}
	return stream.Err()
}
