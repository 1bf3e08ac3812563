package main

import (
	"fmt"
	"os"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/urfave/cli/v2"

	"github.com/cordonmesh/cordon/cmd/internal/usage"
	"github.com/cordonmesh/cordon/node/local"
)

func status(c *cli.Context) error {
	api := daemon(c)
	defer api.Close()
	s, err := api.Status(c.Context)
	if err != nil {
		return err
	}
	if usage.WantsJSON(c) {
		return usage.PrintJSON(s)
	}
	printSelf(s)
	printPeers(s.Peers)
	printRefusals(s.Refusals)
	for _, w := range s.Warnings {
		fmt.Fprintln(os.Stderr, "warning:", visible(w))
	}
	return nil
}

func printSelf(s *local.Status) {
	fmt.Printf("%s", s.State)
	if s.Name != "" {
		fmt.Printf(": %s (%s), %s%s", s.Name, addresses(s), s.User, strings.Join(s.Tags, " "))
	}
	fmt.Println()
	if s.State == local.StateUnenrolled {
		fmt.Println("to join: cordon up, with an enrolment string from an admin")
		return
	}
	contact := "connected"
	if !s.Coordinator.Connected {
		contact = "away since " + ago(s.Coordinator.LastHeard)
		if s.Coordinator.Error != "" {
			contact += " (" + visible(s.Coordinator.Error) + ")"
		}
		contact += "; tunnels and filter go on"
	}
	fmt.Printf("coordinator %s: %s\n", s.Coordinator.URL, contact)
	source := "confirmed"
	if s.Map.FromDisk {
		source = "from disk"
	}
	fmt.Printf("map: revision %d, epoch %d, %s, lease of %s\n", s.Map.Revision, s.Map.Epoch, source, ago(s.Map.Lease))
	for _, r := range s.Routes {
		state := "waits for approval"
		if r.Approved {
			state = "approved"
		}
		fmt.Printf("gateway for %s: %s\n", r.Prefix, state)
	}
}

func printPeers(peers []local.Peer) {
	if len(peers) == 0 {
		fmt.Println("no peers: the policy lets this node talk to nobody")
		return
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "\nPEER\tADDRESS\tPATH\tDELAY\tHANDSHAKE\tIN\tOUT")
	for _, p := range peers {
		path, delay := p.Path, "-"
		if p.Endpoint != "" {
			path += " " + p.Endpoint
			delay = p.RTT.Round(10 * time.Microsecond).String()
		} else if p.Why != "" {
			path += ": " + p.Why
		}
		address := ""
		if len(p.Addresses) > 0 {
			address = p.Addresses[0].String()
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", p.Name, address, path, delay, ago(p.LastHandshake), size(p.Received), size(p.Sent))
	}
	w.Flush()
}

func printRefusals(refusals []local.Refusal) {
	if len(refusals) == 0 {
		return
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "\nREFUSED\tFROM\tTO\tPROTOCOL\tTIMES\tWHY")
	for _, r := range refusals {
		direction := "in"
		if r.Outbound {
			direction = "out"
		}
		why := r.Reason
		if r.Rule != "" {
			why += " (rule " + r.Rule + ")"
		}
		fmt.Fprintf(w, "%s %s\t%s\t%s\t%s\t%d\t%s\n", direction, ago(r.Time), r.Src, r.Dst, r.Protocol, r.Count, why)
	}
	w.Flush()
}

// visible keeps words from afar, such as a proxy's, from commanding the terminal.
func visible(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, text)
}

func ago(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	d := time.Since(t)
	if d < 0 {
		return t.Local().Format("2006-01-02 15:04:05")
	}
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds ago", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm ago", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh ago", int(d.Hours()))
	}
	return t.Local().Format("2006-01-02")
}

func size(n uint64) string {
	switch {
	case n < 1<<10:
		return fmt.Sprintf("%d B", n)
	case n < 1<<20:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	case n < 1<<30:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	}
	return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
}
