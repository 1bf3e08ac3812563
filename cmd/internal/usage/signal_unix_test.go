//go:build unix

package usage_test

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/cordonmesh/cordon/cmd/internal/usage"
)

// stubborn says to the test binary that it is a program whose command reads no context.
const stubborn = "CORDON_TEST_STUBBORN"

func TestMain(m *testing.M) {
	if os.Getenv(stubborn) == "" {
		os.Exit(m.Run())
	}
	os.Exit(usage.Main(&cli.App{Name: "stubborn", Commands: []*cli.Command{{Name: "compute", Action: func(c *cli.Context) error {
		fmt.Println("begun")
		<-c.Context.Done()
		fmt.Println("signalled")
		select {}
	}}}}, []string{"stubborn", "compute"}, nil))
}

// What computes hears of a first signal and may go on to its end, as a daemon that stops
// in order does. Whoever asks twice gets their terminal back.
func TestSecondSignalEnds(t *testing.T) {
	program := exec.CommandContext(t.Context(), os.Args[0])
	program.Env = append(os.Environ(), stubborn+"=1")
	out, err := program.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := program.Start(); err != nil {
		t.Fatal(err)
	}
	said := bufio.NewScanner(out)
	says := func(want string) {
		if !said.Scan() || said.Text() != want {
			t.Fatalf("it says %q, not %q", said.Text(), want)
		}
	}
	says("begun")
	signal(t, program)
	says("signalled")
	ended := make(chan error, 1)
	go func() { ended <- program.Wait() }()
	for { // the first is let go of a moment after it was heard
		select {
		case err := <-ended:
			if err == nil || program.ProcessState.Sys().(syscall.WaitStatus).Signal() != syscall.SIGTERM {
				t.Errorf("it ended by %v, not by the second signal", err)
			}
			return
		case <-time.After(10 * time.Millisecond):
			signal(t, program)
		}
	}
}

func signal(t *testing.T, program *exec.Cmd) {
	t.Helper()
	if err := program.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Fatal(err)
	}
}
