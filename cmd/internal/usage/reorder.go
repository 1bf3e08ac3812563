package usage

import (
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// reorder puts flags where the parser wants them: those of the program before
// the command, those of the command before its arguments. A hurried admin who
// writes `policy set FILE --yes` must not be taught about it at three in the
// morning. What stands behind "--" stays as it is.
func reorder(app *cli.App, args []string) []string {
	if len(args) == 0 {
		return args
	}
	var global, path, own, plain []string
	var command *cli.Command
	commands, rest := app.Commands, args[1:]
	for len(rest) > 0 {
		word := rest[0]
		if word == "--" {
			plain = append(plain, rest...)
			break
		}
		if isFlag(word) {
			n := min(1+value(app, command, word), len(rest))
			if command != nil && (has(command.Flags, word) || !has(app.Flags, word)) {
				own = append(own, rest[:n]...)
			} else {
				global = append(global, rest[:n]...)
			}
			rest = rest[n:]
			continue
		}
		rest = rest[1:]
		if next := find(commands, word); next != nil && len(plain) == 0 {
			command, commands = next, next.Subcommands
			path = append(path, word)
			continue
		}
		commands = nil // an argument: no command comes behind it
		plain = append(plain, word)
	}
	return slices.Concat(args[:1], global, path, own, plain)
}

func isFlag(word string) bool { return len(word) > 1 && word[0] == '-' }

func find(commands []*cli.Command, name string) *cli.Command {
	for _, c := range commands {
		if c.HasName(name) {
			return c
		}
	}
	return nil
}

// value tells how many words behind a flag belong to it: one or none.
func value(app *cli.App, command *cli.Command, word string) int {
	if strings.Contains(word, "=") {
		return 0
	}
	flags := app.Flags
	if command != nil {
		flags = slices.Concat(command.Flags, app.Flags)
	}
	for _, f := range flags {
		if slices.Contains(f.Names(), strings.TrimLeft(word, "-")) {
			if _, alone := f.(*cli.BoolFlag); alone {
				return 0
			}
			return 1
		}
	}
	return 0
}

func has(flags []cli.Flag, word string) bool {
	name, _, _ := strings.Cut(strings.TrimLeft(word, "-"), "=")
	return slices.ContainsFunc(flags, func(f cli.Flag) bool { return slices.Contains(f.Names(), name) })
}
