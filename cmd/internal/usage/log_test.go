package usage_test

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"

	"github.com/cordonmesh/cordon/cmd/internal/usage"
)

func TestLogTellsAsMuchAsItsFlagSays(t *testing.T) {
	for _, tt := range []struct {
		args  []string
		least slog.Level // that is written
	}{
		{nil, slog.LevelInfo},
		{[]string{"--log-level", "debug"}, slog.LevelDebug},
		{[]string{"--log-level", "error"}, slog.LevelError},
	} {
		log, err := logOf(tt.args)
		if err != nil {
			t.Fatal(tt.args, err)
		}
		if !log.Enabled(t.Context(), tt.least) || log.Enabled(t.Context(), tt.least-1) {
			t.Errorf("%v: the log does not begin at %s", tt.args, tt.least)
		}
	}
	_, err := logOf([]string{"--log-level", "loud"})
	if err == nil || !strings.Contains(err.Error(), `"loud"`) || !strings.Contains(err.Error(), "debug, info, warn or error") {
		t.Errorf("a level that there is not: %v", err)
	}
}

func logOf(args []string) (log *slog.Logger, err error) {
	app := &cli.App{Name: "program", Flags: []cli.Flag{usage.LogLevel()}, Action: func(c *cli.Context) error {
		log, err = usage.Log(c)
		return nil
	}}
	if failed := app.Run(append([]string{"program"}, args...)); failed != nil {
		return nil, failed
	}
	return log, err
}
