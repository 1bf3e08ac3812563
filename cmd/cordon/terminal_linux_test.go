package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	qr "github.com/piglig/go-qr"
	"golang.org/x/sys/unix"

	"github.com/cordonmesh/cordon/cmd/internal/usage"
	"github.com/cordonmesh/cordon/node/local"
)

// inTerminal is what the program with its arguments shows in a terminal of that size.
func (d *desk) inTerminal(t *testing.T, width, height uint16, args ...string) string {
	t.Helper()
	screen, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer screen.Close()
	fd := int(screen.Fd())
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		err = unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Col: width, Row: height})
	}
	if err != nil {
		t.Fatal(err)
	}
	terminal, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	shown := make(chan string)
	go func() {
		b, _ := io.ReadAll(screen) // ends with an error when nobody has the terminal any more
		shown <- string(b)
	}()
	out := os.Stdout
	os.Stdout = terminal
	status := usage.Main(app(), append([]string{"cordon", "--socket", d.socket}, args...), nil)
	os.Stdout = out
	terminal.Close()
	text := strings.ReplaceAll(<-shown, "\r\n", "\n")
	if status != 0 {
		t.Errorf("status %d:\n%s", status, text)
	}
	return text
}

// Whoever signs in, or lets their machine join, at a terminal finds the address there as
// text, and as a square that a telephone reads; without room for that as text alone.
func TestTerminalShowsWhereToGoTwice(t *testing.T) {
	d := newDesk(t)
	l := local.Login{ID: "l1", URL: "https://mesh.clinic.example:8443/login/AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBka", Code: "KITE-7", Until: at(10 * time.Minute)}
	session := ada("s1", 8*time.Hour)
	d.answers[local.PathLogin], d.answers[local.PathJoin] = l, local.JoinResponse{Node: "n-1", Login: &l}
	d.answers[local.PathAwaitLogin] = local.LoginOutcome{State: local.LoginDone, Session: &session}
	d.answers[local.PathAwaitJoin] = local.LoginOutcome{State: local.LoginDone}
	d.answers[local.PathStatus] = local.Status{State: local.StateRunning}
	t.Setenv("TERM", "xterm")
	for _, args := range [][]string{{"login"}, {"login", "--device-code"}, {"up", "--coordinator", "https://mesh.clinic.example:8443"}} {
		text := d.inTerminal(t, 80, 24, args...)
		var square strings.Builder
		for line := range strings.Lines(text) {
			if strings.HasPrefix(line, "\x1b[30;107m") {
				square.WriteString(line)
			}
		}
		if square.Len() == 0 || !strings.Contains(text, "    "+l.URL+"\n") {
			t.Errorf("%v shows\n%s", args, text)
			continue
		}
		if got, err := qr.Decode(photograph(t, square.String())); err != nil || got != l.URL {
			t.Errorf("%v: the square reads %q, %v", args, got, err)
		}
		if text := d.inTerminal(t, 40, 24, args...); strings.Contains(text, "\x1b") || !strings.Contains(text, l.URL) {
			t.Errorf("%v shows in a narrow terminal\n%s", args, text)
		}
	}
	t.Setenv("TERM", "dumb")
	if text := d.inTerminal(t, 80, 24, "login"); strings.Contains(text, "\x1b") || !strings.Contains(text, l.URL) {
		t.Errorf("a terminal that knows no colours shows\n%s", text)
	}
}
