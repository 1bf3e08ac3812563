package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
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
	switch {
	case c.Bool("watch"):
		return watch(c, api)
	case c.Bool("notify"):
		return errors.New("--notify tells of changes: it goes with --watch")
	}
	s, err := api.StatusFor(c.Context, local.StatusRequest{StepUp: true})
	if err != nil {
		return err
	}
	if usage.WantsJSON(c) {
		return usage.PrintJSON(s)
	}
	return printAll(s)
}

func printAll(s *local.Status) error {
	if err := printStatus(s); err != nil {
		return err
	}
	for _, w := range s.Warnings {
		fmt.Fprintln(os.Stderr, "warning:", visible(w))
	}
	return nil
}

// printStatus says first what a user can do something about.
func printStatus(s *local.Status) error {
	if printOutside(s) {
		return nil
	}
	owner := strings.Join(append(s.Tags, s.User), " ")
	fmt.Printf("%s: %s (%s), %s\n", s.State, s.Name, addresses(s), visible(strings.TrimSpace(owner)))
	fmt.Print(people(s))
	printCoordinator(s)
	printMap(s)
	printNames(s)
	if len(s.OnSite) > 0 {
		fmt.Println("on site: this machine is itself in", s.OnSite, "and needs no gateway for it")
	}
	printRoutes(s)
	printRelays(s.Relays)
	for _, w := range endings(s) {
		fmt.Println(w.text)
	}
	return errors.Join(printPeers(s.Peers), printStock(s.StockPeers), printRefusals(s))
}

// printOutside prints the status of a machine that has no peers at all at the moment,
// and what to do about it; false if it is in its mesh.
func printOutside(s *local.Status) bool {
	switch s.State {
	case local.StateUnenrolled:
		fmt.Println("unenrolled: this machine is in no mesh\nto join: `cordon up`, with an enrolment string from an admin; or `cordon up --coordinator URL`, and sign in")
		return true
	case local.StateJoining:
		fmt.Printf("joining: this machine is in no mesh yet, and waits until somebody has signed in at\n%s\nwhose page must show the code %s and the fingerprint %s\n", visible(s.Login.URL), visible(s.Login.Code), s.Node)
		return true
	case local.StateStopped:
		fmt.Printf("stopped: no packet enters or leaves by the mesh\nto start again: `cordon up`\ncoordinator %s\n", s.Coordinator.URL)
		return true
	case local.StateStarting:
		fmt.Println("starting: there is no map yet that the coordinator stands behind, so nothing is permitted")
	case local.StateExpired:
		fmt.Printf("expired: cordon login\n%s has no peers since %s, until %s has signed in here\n", s.Name, clock(s.Until), visible(s.User))
	case local.StatePending:
		fmt.Printf("pending: %s waits for an admin: `cordonctl node approve %s`\n", s.Name, s.Name)
		fmt.Printf("fingerprint %s: read it out to whoever lets this machine in\n", s.Node)
	default:
		return false
	}
	printCoordinator(s)
	return true
}

// printRoutes lists the prefixes that this node advertises.
func printRoutes(s *local.Status) {
	for _, r := range s.Routes {
		state := "waits for approval: `cordonctl route approve " + s.Name + " " + r.Prefix.String() + "`"
		if r.Approved {
			state = "approved"
		}
		fmt.Printf("gateway for %s: %s\n", r.Prefix, state)
	}
}

func printCoordinator(s *local.Status) {
	if s.Coordinator.Connected {
		fmt.Printf("coordinator %s: connected\n", s.Coordinator.URL)
		return
	}
	heard := "not heard since the daemon started"
	if !s.Coordinator.LastHeard.IsZero() {
		heard = "last heard " + ago(s.Coordinator.LastHeard)
	}
	fmt.Printf("coordinator %s: away, %s", s.Coordinator.URL, heard)
	if s.Coordinator.Error != "" {
		fmt.Printf(" (%s)", visible(s.Coordinator.Error))
	}
	if s.State == local.StateRunning {
		fmt.Print("; tunnels and filter go on")
	}
	fmt.Println()
}

func printMap(s *local.Status) {
	source := "confirmed by the coordinator"
	if s.Map.FromDisk {
		source = "from disk, not yet confirmed"
	}
	lease := "no lease yet"
	if !s.Map.Lease.IsZero() {
		lease = "lease of " + ago(s.Map.Lease)
	}
	fmt.Printf("map: revision %d, epoch %d, %s, %s\n", s.Map.Revision, s.Map.Epoch, source, lease)
}

// printNames tells how programs find peers by name.
func printNames(s *local.Status) {
	switch {
	case s.Names.Via != "":
		fmt.Printf("names: NAME.%s, by %s, answered at", s.Domain, s.Names.Via)
		for _, a := range s.Names.Servers {
			fmt.Print(" ", a)
		}
		if len(s.Names.Routes) > 0 {
			fmt.Print("; others' domains: ", strings.Join(s.Names.Routes, ", "))
		}
		fmt.Println()
	case s.Names.Problem != "":
		fmt.Printf("names: not answered (%s): %s\n", s.Names.Mode, visible(s.Names.Problem))
	case s.Mode == "tun":
		fmt.Println("names: off")
	}
}

// visible keeps words that somebody else chose from moving the cursor or
// pretending to be another line.
func visible(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, text)
}

func printRelays(relays []local.Relay) {
	for _, r := range relays {
		what := ""
		if r.Home {
			what = ", home of this node"
		}
		if r.RTT != 0 {
			what += ", " + delay(r.RTT)
		}
		if r.Why != "" {
			what += ": " + visible(r.Why)
		}
		fmt.Printf("relay %s (%s)%s\n", r.Name, r.URL, what)
	}
}

func delay(d time.Duration) string { return d.Round(10 * time.Microsecond).String() }

func printPeers(peers []local.Peer) error {
	if len(peers) == 0 {
		fmt.Println("no peers: the policy lets this node talk to nobody")
		return nil
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "\nPEER\tADDRESS\tDELAY\tMTU\tHANDSHAKE\tIN\tOUT\tPATH")
	for _, p := range peers {
		path, took, mtu := p.Path, "-", "-"
		if p.Path != local.PathNone {
			path, took = strings.TrimSpace(p.Path+" "+p.Endpoint+p.Relay), delay(p.RTT)
		}
		if p.MTU != 0 {
			mtu = strconv.Itoa(p.MTU)
		}
		if p.Why != "" {
			path += ": " + visible(p.Why)
		}
		address := ""
		if len(p.Addresses) > 0 {
			address = p.Addresses[0].String()
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", p.Name, address, took, mtu, ago(p.LastHandshake), size(p.Received), size(p.Sent), path)
	}
	return w.Flush()
}

func printRefusals(s *local.Status) error {
	if len(s.Refusals) == 0 {
		return nil
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "\nREFUSED\tFROM\tTO\tPROTOCOL\tTIMES\tWHY")
	for _, r := range s.Refusals {
		direction := "in"
		if r.Outbound {
			direction = "out"
		}
		why := r.Reason
		if r.Rule != "" {
			why += " (rule " + r.Rule + ")"
		}
		why += untilText(r.Until)
		if what := nextStep(s, r); what != "" {
			why += ": " + what
		}
		fmt.Fprintf(w, "%s %s\t%s\t%s\t%s\t%d\t%s\n", direction, ago(r.Time), r.Src, r.Dst, r.Protocol, r.Count, visible(why))
	}
	return w.Flush()
}

// untilText says when a limit gives again.
func untilText(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return ", until " + t.Local().Format("2006-01-02 15:04")
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
