package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strings"
	"time"

	"connectrpc.com/connect"
	"github.com/urfave/cli/v2"

	"github.com/cordonmesh/cordon/acl/compile"
	"github.com/cordonmesh/cordon/acl/diff"
	"github.com/cordonmesh/cordon/acl/policy"
	"github.com/cordonmesh/cordon/acl/query"
	"github.com/cordonmesh/cordon/cmd/internal/usage"
	"github.com/cordonmesh/cordon/coordinator/admin"
)

// exitChanged is the status of `policy diff` when the effect changes, for CI: 0 is
// no change, and 1 an error.
const exitChanged = usage.Exit(2)

// maxDirectory bounds a description of a mesh in bytes.
const maxDirectory = 64 << 20

func diffCommand() *cli.Command {
	return &cli.Command{
		Name: "diff", Usage: "who gains and who loses reach to what, from one policy to another", ArgsUsage: "[[OLD] NEW]", Action: diffPolicy,
		Description: "Without OLD, NEW is compared with the policy in force. The real nodes are asked for. Where no coordinator answers\n" +
			"on --socket, two files are compared over made-up nodes: for each tag, person, group elsewhere and address that they name.\n" +
			"Exit status: 0 if nothing changes, 2 if the effect changes, 1 on an error, or if nobody can be made up for some rule.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "nodes", Usage: "judge over the mesh that `FILE` describes, as for policy query; needs no coordinator"},
			&cli.Uint64Flag{Name: "revision", Usage: "what the policy of this `REVISION` changed, on the nodes of today"},
			&cli.BoolFlag{Name: "made-up", Usage: "judge over made-up nodes; needs no coordinator"},
		},
	}
}

// differences is what `policy diff --json` prints.
type differences struct {
	Changed bool   `json:"changed"`
	Over    string `json:"over"` // "real nodes", "made-up nodes", or the file that describes them
	Nodes   int    `json:"nodes"`
	From    string `json:"from,omitempty"` // which policy is OLD, in words, and which one NEW
	To      string `json:"to,omitempty"`
	diff.Diff
}

// source is a policy to compare; the zero one is the policy in force.
type source struct {
	text, name, title string
	pol               *policy.Policy
	revision          uint64 // one that was in force; 0: it is a file
}

func (s source) version() *admin.PolicyVersion {
	if s == (source{}) {
		return nil
	}
	return &admin.PolicyVersion{Text: s.text, File: s.name, Revision: s.revision}
}

func diffPolicy(c *cli.Context) error {
	sources, err := diffSources(c)
	if err != nil {
		return err
	}
	d, err := differ(c, sources)
	if err != nil {
		return err
	}
	d.From, d.To = cmp.Or(d.From, sources[0].title), sources[1].title
	if usage.WantsJSON(c) {
		err = usage.PrintJSON(d)
	} else {
		printDiff(os.Stdout, d)
	}
	if err == nil && d.Changed {
		return exitChanged
	}
	return err
}

// diffSources gives the two policies that the arguments name.
func diffSources(c *cli.Context) (sources [2]source, err error) {
	paths := c.Args().Slice()
	switch {
	case c.IsSet("revision"):
		return editOf(c)
	case len(paths) == 0 || len(paths) > 2:
		return sources, errors.New("want [OLD] NEW: see `cordonctl policy diff --help`")
	case len(paths) == 1 && (c.Bool("made-up") || c.IsSet("nodes")):
		return sources, errors.New("without a coordinator there is no policy in force: name OLD and NEW")
	case len(paths) == 2 && paths[0] == "-" && paths[1] == "-":
		return sources, errors.New("standard input can be one of the two policies, not both")
	}
	for i, path := range paths {
		text, name, err := readPolicy(path)
		if err != nil {
			return sources, err
		}
		at := i + 2 - len(paths)
		pol, problems, err := parsePolicy(name, text)
		if err != nil {
			printProblems(problems, text)
			return sources, err
		}
		sources[at] = source{text: text, name: name, title: titled(path, name), pol: pol}
	}
	return sources, nil
}

// editOf gives the policy of a revision, and the one before.
func editOf(c *cli.Context) (sources [2]source, err error) {
	revision := c.Uint64("revision")
	switch {
	case c.NArg() > 0:
		return sources, errors.New("--revision compares what was in force: name no file")
	case c.Bool("made-up") || c.IsSet("nodes"):
		return sources, errors.New("only a coordinator knows what was in force at a revision: leave --made-up and --nodes out")
	case revision < 2:
		return sources, errors.New("--revision wants the number of an edit, as `cordonctl policy log` has it")
	}
	for i, at := range []uint64{revision - 1, revision} {
		sources[i] = source{revision: at, title: fmt.Sprintf("revision %d", at)}
	}
	return sources, nil
}

// titled names a file and its time: nothing else tells OLD from NEW where somebody has
// swapped them, and each gain reads as a loss.
func titled(path, name string) string {
	info, err := os.Stat(path)
	if path == "-" || err != nil {
		return name
	}
	return path + " of " + moment(info.ModTime().Unix())
}

// differ compares where the flags say.
func differ(c *cli.Context, sources [2]source) (differences, error) {
	switch {
	case c.Bool("made-up"):
		return imagined(sources)
	case c.IsSet("nodes"):
		return described(c.String("nodes"), sources)
	}
	api, err := door(c)
	if err != nil {
		return differences{}, err
	}
	defer api.Close()
	d, err := liveDiff(c, api, sources)
	if connect.CodeOf(err) == connect.CodeUnavailable && sources[0].pol != nil && c.String("credential-file") == "" {
		fmt.Fprintln(os.Stderr, "no coordinator answers: judged over made-up nodes, for each tag, person, group elsewhere and address")
		return imagined(sources)
	}
	if connect.CodeOf(err) == connect.CodeUnavailable && sources[0] == (source{}) {
		return d, fmt.Errorf("%w; two files, OLD and NEW, are compared without one", plain(err))
	}
	return d, err
}

// liveDiff compares over the real nodes.
func liveDiff(c *cli.Context, api *admin.Client, sources [2]source) (differences, error) {
	resp, err := api.DiffPolicy(c.Context, connect.NewRequest(&admin.DiffPolicyRequest{Before: sources[0].version(), After: sources[1].version()}))
	if err != nil {
		printProblems(admin.Problems(err), sources[1].text)
		return differences{}, err
	}
	d := receivedDiff(resp.Msg)
	if sources[0] == (source{}) {
		d.From, err = inForce(c, api)
	}
	return d, err
}

func inForce(c *cli.Context, api *admin.Client) (title string, err error) {
	resp, err := api.GetPolicy(c.Context, connect.NewRequest(&admin.GetPolicyRequest{}))
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("the policy in force, revision %d of %s,", resp.Msg.Revision, moment(resp.Msg.Time)), nil
}

func receivedDiff(m *admin.DiffPolicyResponse) differences {
	return found(diff.Diff{Gained: received(m.GetGained()), Lost: received(m.GetLost()), Changed: received(m.GetChanged()), Untold: m.GetUntold()}, "real nodes", int(m.GetNodes()))
}

func found(d diff.Diff, over string, nodes int) differences {
	return differences{Changed: !d.Empty(), Over: over, Nodes: nodes, Diff: d}
}

func received(all []*admin.ReachChange) []diff.Change {
	var out []diff.Change
	for _, c := range all {
		out = append(out, diff.Change{Who: receivedSet(c.Who), Where: receivedSet(c.Where), Services: c.Services, With: c.With, Without: c.Without, Text: c.Text, Definition: c.Definition})
	}
	return out
}

func receivedSet(s *admin.ReachSet) diff.Set {
	set := diff.Set{People: s.GetPeople(), Nodes: s.GetNodes(), Networks: s.GetNetworks(), Own: s.GetOwn(), All: s.GetAll(), Text: s.GetText()}
	if s.GetExcept() != nil {
		except := receivedSet(s.Except)
		set.Except = &except
	}
	return set
}

// elsewhere is where to compare what made-up nodes do not show.
const elsewhere = "with --nodes FILE, or at a coordinator"

// imagined compares over made-up nodes.
func imagined(sources [2]source) (differences, error) {
	nodes, ranges, err := diff.Imagine(sources[0].pol, sources[1].pol)
	if err != nil {
		return differences{}, fmt.Errorf("%w: compare %s", err, elsewhere)
	}
	meshes, err := meshesOf(sources, nodes, ranges)
	if err != nil {
		return differences{}, err
	}
	if err := blind(sources, meshes[:]...); err != nil {
		return differences{}, err
	}
	d := diff.Options{Imagined: true}.Meshes(meshes[0], meshes[1])
	return found(d, "made-up nodes", len(nodes)), nil
}

// blind refuses a comparison that could say of some rule that nothing changes only
// because nobody was made up for it.
func blind(sources [2]source, meshes ...*compile.Mesh) error {
	for i, m := range meshes {
		if rules := diff.Unseen(m); len(rules) > 0 {
			return fmt.Errorf("%s: %s: no source or no destination could be made up: compare %s", sources[i].name, strings.Join(rules, ", "), elsewhere)
		}
	}
	return nil
}

// described compares over the mesh that a file describes.
func described(path string, sources [2]source) (differences, error) {
	f, err := os.Open(path)
	if err != nil {
		return differences{}, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxDirectory))
	if err != nil {
		return differences{}, err
	}
	nodes, ranges, err := query.Directory(text)
	if err != nil {
		return differences{}, fmt.Errorf("%s: %w", path, err)
	}
	meshes, err := meshesOf(sources, nodes, ranges)
	if err != nil {
		return differences{}, err
	}
	return found(diff.Meshes(meshes[0], meshes[1]), path, len(nodes)), nil
}

// meshesOf compiles two policies for the same nodes, with their schedules from now on.
func meshesOf(sources [2]source, nodes []compile.Node, ranges []netip.Prefix) (meshes [2]*compile.Mesh, err error) {
	now := time.Now()
	for i, s := range sources {
		meshes[i] = compile.New(s.pol, ranges)
		meshes[i].Advance(now)
		if err := meshes[i].LoadWithin(nodes); err != nil {
			return meshes, err
		}
	}
	return meshes, nil
}

// maxLines is how many changes of each kind are printed for people.
const maxLines = 40

func printDiff(w io.Writer, d differences) {
	if d.From != "" {
		fmt.Fprintf(w, "from %s to %s:\n", visible(d.From), visible(d.To))
	}
	if !d.Changed {
		fmt.Fprintf(w, "no one gains or loses anything (%s, %s)\n", d.Over, count(d.Nodes, "node"))
		return
	}
	for _, side := range []struct {
		mark string
		all  []diff.Change
	}{{"+", d.Gained}, {"-", d.Lost}, {"~", d.Diff.Changed}} {
		for i, c := range side.all {
			if i == maxLines {
				fmt.Fprintf(w, "%s and %d more: see them with --json\n", side.mark, len(side.all)-maxLines)
				break
			}
			fmt.Fprintf(w, "%s %s\n", side.mark, visible(c.Text))
		}
	}
}
