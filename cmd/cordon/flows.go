package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/cordonmesh/cordon/cmd/internal/usage"
	"github.com/cordonmesh/cordon/node/local"
)

// followEvery is how often `flows --follow` asks for what is new.
const followEvery = time.Second

func flowsCommand() *cli.Command {
	return &cli.Command{Name: "flows", Usage: "what passed, what was refused, and by which rule: the newest records of this node", Action: flows, Flags: []cli.Flag{
		&cli.StringFlag{Name: "rule", Usage: "only flows that the rule with this `ID` decided"},
		&cli.StringFlag{Name: "verdict", Usage: "only flows with this `VERDICT`: permitted, refused, monitored or limited"},
		&cli.IntFlag{Name: "limit", Usage: "show at most so many records, the newest; 0: all", Value: 100},
		&cli.BoolFlag{Name: "follow", Usage: "keep running, and print new records as they come"},
	}}
}

func flows(c *cli.Context) error {
	r := local.FlowsRequest{Rule: c.String("rule"), Verdict: local.Verdict(c.String("verdict")), Limit: c.Int("limit")}
	if r.Verdict != "" && !slices.Contains(local.Verdicts(), r.Verdict) {
		return usage.Bad("verdict", string(r.Verdict), "permitted, refused, monitored or limited")
	}
	if r.Limit < 0 {
		return usage.Bad("limit", fmt.Sprint(r.Limit), "0 or more")
	}
	api := daemon(c)
	defer api.Close()
	for title := true; ; title = false {
		resp, err := api.Flows(c.Context, r)
		if err != nil {
			return err
		}
		if err := printFlows(c, resp, title); err != nil || !c.Bool("follow") {
			return err
		}
		r.From, r.Limit = resp.Next, 0
		select {
		case <-c.Context.Done():
			return nil
		case <-time.After(followEvery):
		}
	}
}

// printFlows prints records. With --json those that come later are objects of their own.
func printFlows(c *cli.Context, resp *local.FlowsResponse, first bool) error {
	if resp.Lost > 0 && !first {
		fmt.Fprintf(os.Stderr, "%d records were overwritten before they were read\n", resp.Lost)
	}
	if usage.WantsJSON(c) {
		if !first && len(resp.Flows) == 0 {
			return nil
		}
		return usage.PrintJSON(resp)
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 4, 2, ' ', 0)
	if first {
		fmt.Fprintln(w, "TIME\tWAY\tFROM\tTO\tPROTOCOL\tVERDICT\tRULE\tPACKETS\tBYTES\tWHAT")
	}
	for i := range resp.Flows {
		fmt.Fprintln(w, flowLine(&resp.Flows[i]))
	}
	return w.Flush()
}

func flowLine(f *local.Flow) string {
	way, from, to := "in", f.Src.String(), f.Dst.String()
	switch {
	case f.Outbound && f.Peer != "":
		way, to = "out", f.Peer+" "+to
	case f.Outbound:
		way = "out"
	case f.Peer != "":
		from = f.Peer + " " + from
	}
	packets, bytes, rule := "-", "-", f.Rule
	if f.Packets != nil && f.Bytes != nil {
		packets = fmt.Sprint(f.Packets.Sent, "+", f.Packets.Answered)
		bytes = size(f.Bytes.Sent) + "+" + size(f.Bytes.Answered)
	}
	if rule == "" {
		rule = "-"
	}
	fields := []string{f.Time.Local().Format("2006-01-02 15:04:05"), way, from, to, f.Protocol, string(f.Verdict), rule, packets, bytes, outcome(f)}
	for i := range fields {
		fields[i] = visible(fields[i])
	}
	return strings.Join(fields, "\t")
}

// outcome says what became of a flow.
func outcome(f *local.Flow) string {
	switch f.Event {
	case local.FlowStart:
		return "began"
	case local.FlowEnd:
		return "ended after " + f.Time.Sub(f.Started).Round(time.Second).String() + ": " + f.Reason
	case local.FlowLimit:
		return "limit exceeded (" + f.OnExceed + ")" + untilText(f.Until)
	}
	return f.Reason
}
