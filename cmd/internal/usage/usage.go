// Package usage is what the programs' command lines have in common: flags may
// stand anywhere, whatever is wrong with a line is said in one sentence with key,
// value and what is allowed, and --json is where people look for it.
//
// It knows no command of any program.
package usage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/urfave/cli/v2"
	"golang.org/x/term"
)

// Exit is the error of a command that has said all there is to say: its number is
// the program's exit status.
type Exit int

func (e Exit) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

// Main runs a program and gives its exit status: 0, an [Exit], or 1 after one line
// on standard error. words gives an error's words for people; it may be nil.
func Main(app *cli.App, args []string, words func(error) error) int {
	prepare(app)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // whoever signals again waits no longer: what computes reads no context
	err := app.RunContext(ctx, reorder(app, args))
	if err == nil {
		return 0
	}
	var status Exit
	if errors.As(err, &status) {
		return int(status)
	}
	if words != nil {
		err = words(err)
	}
	fmt.Fprintf(os.Stderr, "%s: %s\n", app.Name, err)
	return 1
}

func prepare(app *cli.App) {
	app.HideHelpCommand = true
	app.ExitErrHandler = func(*cli.Context, error) {} // errors are printed once, by Main
	app.OnUsageError = badFlag
	app.Action = group
	each(app.Commands, func(c *cli.Command) {
		c.OnUsageError, c.HideHelpCommand = badFlag, true
		if len(c.Subcommands) > 0 {
			c.Action = group
			return
		}
		if c.ArgsUsage == "" {
			c.Action = alone(c.Action)
		}
	})
}

func each(commands []*cli.Command, f func(*cli.Command)) {
	for _, c := range commands {
		f(c)
		each(c.Subcommands, f)
	}
}

// AcceptJSON gives every command that does something the flag --json.
func AcceptJSON(commands []*cli.Command) {
	each(commands, func(c *cli.Command) {
		if len(c.Subcommands) == 0 {
			c.Flags = append(c.Flags, &cli.BoolFlag{Name: "json", Usage: "print JSON"})
		}
	})
}

// WantsJSON tells whether --json was given, before or behind the command.
func WantsJSON(c *cli.Context) bool {
	return slices.ContainsFunc(c.Lineage(), func(level *cli.Context) bool { return level.Bool("json") })
}

// PrintJSON prints a value for programs.
func PrintJSON(v any) error {
	e := json.NewEncoder(os.Stdout)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// group is the action of what only has commands below it.
func group(c *cli.Context) error {
	if c.NArg() > 0 {
		return fmt.Errorf("there is no command %q: see `%s --help`", c.Args().First(), c.Command.HelpName)
	}
	if len(c.Lineage()) > 1 && c.Command != nil && len(c.Command.Subcommands) > 0 {
		return cli.ShowSubcommandHelp(c)
	}
	return cli.ShowAppHelp(c)
}

// alone refuses arguments where there are none to give. It does not repeat them:
// one may be a secret that stands where it should not.
func alone(f cli.ActionFunc) cli.ActionFunc {
	return func(c *cli.Context) error {
		if c.NArg() > 0 {
			return fmt.Errorf("%s takes no arguments: see `%s --help`", c.Command.Name, c.Command.HelpName)
		}
		return f(c)
	}
}

// Args gives exactly the arguments that a command wants.
func Args(c *cli.Context, want ...string) ([]string, error) {
	if c.NArg() != len(want) {
		return nil, fmt.Errorf("want %s: see `%s --help`", strings.Join(want, " "), c.Command.HelpName)
	}
	return c.Args().Slice(), nil
}

// Bad is the error of a value that cannot be.
func Bad(key, value, allowed string) error {
	return fmt.Errorf("%s: %q is not allowed: want %s", key, value, allowed)
}

// badFlag says in our words what package flag found.
func badFlag(c *cli.Context, err error, _ bool) error {
	help := fmt.Sprintf("see `%s --help`", c.Command.HelpName)
	if name, ok := strings.CutPrefix(err.Error(), "flag provided but not defined: -"); ok {
		return fmt.Errorf("there is no flag --%s: %s", strings.TrimPrefix(name, "-"), help)
	}
	if name, ok := strings.CutPrefix(err.Error(), "flag needs an argument: -"); ok {
		return fmt.Errorf("--%s needs a value: %s", strings.TrimPrefix(name, "-"), help)
	}
	if rest, ok := strings.CutPrefix(err.Error(), "invalid value "); ok {
		value, rest, _ := strings.Cut(rest, " for flag -")
		name, _, _ := strings.Cut(rest, ":")
		return Bad(name, strings.Trim(value, `"`), kind(c.Command.Flags, name)+"; "+help)
	}
	return fmt.Errorf("%w; %s", err, help)
}

func kind(flags []cli.Flag, name string) string {
	for _, f := range flags {
		if !slices.Contains(f.Names(), name) {
			continue
		}
		switch f.(type) {
		case *cli.DurationFlag:
			return "a time such as 90m or 24h"
		case *cli.UintFlag, *cli.Uint64Flag:
			return "a whole number, 0 or more"
		case *cli.IntFlag:
			return "a whole number"
		case *cli.BoolFlag:
			return "nothing, true or false"
		}
	}
	return "another value"
}

// Secret reads one line that nobody else should see: from a file, from a prompt
// without an echo, or from standard input. It is never taken from the arguments,
// which every user of the machine can read.
func Secret(path, prompt string) (string, error) {
	in := io.Reader(os.Stdin)
	if path != "" {
		f, err := os.Open(path)
		if err != nil {
			return "", err
		}
		defer f.Close()
		in = f
	} else if fd := int(os.Stdin.Fd()); term.IsTerminal(fd) {
		fmt.Fprintf(os.Stderr, "%s: ", prompt)
		text, err := term.ReadPassword(fd)
		fmt.Fprintln(os.Stderr)
		if err != nil {
			return "", err
		}
		in = strings.NewReader(string(text))
	}
	b, err := io.ReadAll(io.LimitReader(in, 4096))
	if err != nil {
		return "", err
	}
	line, _, _ := strings.Cut(string(b), "\n")
	if line = strings.TrimSpace(line); line == "" {
		return "", errors.New("nothing was given")
	}
	return line, nil
}
