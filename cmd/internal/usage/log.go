package usage

import (
	"log/slog"
	"os"

	"github.com/urfave/cli/v2"
)

const logLevels = "debug, info, warn or error"

// LogLevel is the flag of a program that goes on running: how much its log tells.
func LogLevel() cli.Flag { return &cli.StringFlag{Name: "log-level", Usage: logLevels, Value: "info"} }

// Log gives the log on standard error that [LogLevel] asks for.
func Log(c *cli.Context) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.String("log-level"))); err != nil {
		return nil, Bad("log-level", c.String("log-level"), logLevels)
	}
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level})), nil
}
