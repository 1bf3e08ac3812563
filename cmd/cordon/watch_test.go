package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/cmd/internal/desktop"
	"github.com/cordonmesh/cordon/node/local"
)

// screen is a desktop as a test plays it.
type screen struct {
	shown []desktop.Notice
	err   error
}

func (s *screen) Show(_ context.Context, n desktop.Notice) error {
	s.shown = append(s.shown, n)
	return s.err
}

// texts gives what was shown since the last time.
func (s *screen) texts() (out string) {
	for _, n := range s.shown {
		if n.Urgent {
			out += "! "
		}
		out += n.Text + "\n"
	}
	s.shown = nil
	return out
}

// printed is what a function writes on standard output and standard error.
func printed(t *testing.T, f func()) (stdout, stderr string) {
	t.Helper()
	dir := t.TempDir()
	old := [2]*os.File{os.Stdout, os.Stderr}
	var now [2]*os.File
	for i, name := range []string{"out", "err"} {
		file, err := os.Create(dir + "/" + name)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		now[i] = file
	}
	os.Stdout, os.Stderr = now[0], now[1]
	f()
	os.Stdout, os.Stderr = old[0], old[1]
	var text [2]string
	for i, file := range now {
		b, err := os.ReadFile(file.Name())
		if err != nil {
			t.Fatal(err)
		}
		text[i] = string(b)
	}
	return text[0], text[1]
}

// watching is a status in whose every part something moves all the time.
func watching(now time.Time, tick int) *local.Status {
	n, own := uint64(tick), netip.MustParseAddr("100.64.0.1")
	delay, then := time.Duration(tick)*time.Millisecond, now.Add(time.Duration(tick)*time.Second)
	port := netip.AddrPortFrom(own, uint16(40000+tick))
	return &local.Status{
		State: local.StateRunning, Name: "ward", Addresses: []netip.Addr{own},
		Map:         local.MapStatus{PolicyTime: then, Lease: then, Revision: n, Epoch: n},
		Coordinator: local.Coordinator{LastHeard: then, Error: "refused from " + port.String()},
		Peers:       []local.Peer{{Name: "ehr", RTT: delay, LastHandshake: then, Received: n, Sent: n, Why: "no answer from " + port.String()}},
		StockPeers:  []local.StockPeer{{Name: "ct", Addresses: []netip.Prefix{netip.MustParsePrefix("10.99.0.7/32")}, LastHandshake: then, Received: n, Sent: n}},
		Relays:      []local.Relay{{Name: "r1", RTT: delay}},
		Refusals:    []local.Refusal{{Outbound: true, Time: then, Until: then, Count: n, Src: port, Dst: netip.MustParseAddrPort("100.64.0.2:443"), Reason: "ended", Rule: "web", Needs: []string{"mfa"}}},
		Endings:     []local.Ending{{Outbound: true, Src: own, Dst: netip.MustParseAddrPort("100.64.0.2:443"), Protocol: "tcp", Rule: "web", Flows: tick, End: now.Add(2*time.Hour + delay), Cut: now.Add(2*time.Hour + delay)}},
		Warnings:    []string{"the clock is " + delay.String() + " ahead"},
	}
}

// see shows a watcher one status, and gives what it printed.
func see(t *testing.T, w *watcher, s *local.Status) string {
	t.Helper()
	out, _ := printed(t, func() {
		if err := w.saw(t.Context(), s); err != nil {
			t.Error(err)
		}
	})
	return out
}

// What changes is printed, and what only moves is not: not even a flood of
// refusals fills the terminal.
func TestWatchPrintsChanges(t *testing.T) {
	now := time.Date(2026, 11, 23, 14, 0, 0, 0, time.Local)
	w := &watcher{told: map[string]time.Time{}}
	if out := see(t, w, watching(now, 1)); !strings.HasPrefix(out, "running: ward") {
		t.Fatal(out)
	}
	for tick := 2; tick < 60; tick++ {
		if out := see(t, w, watching(now, tick)); out != "" {
			t.Fatalf("at %d:\n%s", tick, out)
		}
	}
	if out := see(t, w, watching(now, 60)); !strings.HasPrefix(out, "\n--- ") {
		t.Errorf("refused again in the next minute: %q", out)
	}
	for name, change := range map[string]func(*local.Status){
		"a session": func(s *local.Status) { s.Sessions = []local.Session{ada("s1", time.Hour)} },
		"a refusal": func(s *local.Status) { s.Refusals[0].Dst = netip.MustParseAddrPort("100.64.0.2:444") },
		"a sign-in": func(s *local.Status) {
			s.Login = &local.Login{ID: "l1", URL: "https://c.example/", Until: at(time.Hour)}
		},
		"a peer":      func(s *local.Status) { s.Peers[0].Path = local.PathDirect },
		"a contact":   func(s *local.Status) { s.Coordinator.Connected = true },
		"a warning":   func(s *local.Status) { s.Warnings = nil },
		"it drains":   func(s *local.Status) { s.Endings[0].End = time.Time{} },
		"an ending":   func(s *local.Status) { s.Endings = nil },
		"ten minutes": func(s *local.Status) { s.Map.PolicyTime = s.Endings[0].End.Add(-warnBefore) },
		"two minutes": func(s *local.Status) { s.Map.PolicyTime = s.Endings[0].End.Add(-lastCall) },
	} {
		w := &watcher{told: map[string]time.Time{}}
		see(t, w, watching(now, 1))
		s := watching(now, 1)
		change(s)
		if out := see(t, w, s); out == "" {
			t.Errorf("%s is not printed", name)
		}
	}
}

// With --json each change is an object on a line of its own.
func TestWatchInJSON(t *testing.T) {
	now := time.Date(2026, 11, 23, 14, 0, 0, 0, time.Local)
	w := &watcher{json: true, told: map[string]time.Time{}}
	out := see(t, w, watching(now, 1)) + see(t, w, watching(now, 2)) + see(t, w, watching(now, 61))
	lines := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
	if len(lines) != 2 {
		t.Fatalf("%d lines", len(lines))
	}
	for _, line := range lines {
		var s local.Status
		if err := json.Unmarshal([]byte(line), &s); err != nil || s.Name != "ward" {
			t.Error(err, line)
		}
	}
}

// A desktop hears once, ten minutes before, and once, urgently, two minutes before
// an end, and of a sign-in that is wanted; if it fails it is left in peace.
func TestWatchTellsTheDesktop(t *testing.T) {
	now := time.Date(2026, 11, 23, 14, 0, 0, 0, time.Local)
	d := &screen{}
	w := &watcher{desktop: d, told: map[string]time.Time{}}
	moment := func(before time.Duration) string {
		for range 2 {
			s := watching(now, 1)
			s.Refusals[0].Needs = nil
			s.Sessions = []local.Session{{ID: "s1", User: "ada", Until: s.Endings[0].End}}
			s.Map.PolicyTime = s.Endings[0].End.Add(-before)
			see(t, w, s)
		}
		return d.texts()
	}
	for _, c := range []struct {
		before time.Duration
		want   string
	}{
		{10*time.Minute + time.Second, ""},
		{10 * time.Minute, "ends in 10 min: the session of ada: `cordon login` before that, and nothing is cut off\nends in 10 min: tcp 100.64.0.2:443 (rule web)\n"},
		{5 * time.Minute, ""},
		{119 * time.Second, "! ends in 1 min: the session of ada, and what is open by it: save your work, then `cordon login`\n! ends in 1 min: tcp 100.64.0.2:443 (rule web)\n"},
		{time.Second, ""},
		{0, ""},
	} {
		if got := moment(c.before); got != c.want {
			t.Errorf("%s before: %q, want %q", c.before, got, c.want)
		}
	}
	if len(w.told) != 0 {
		t.Errorf("it remembers %v", w.told)
	}
	s := watching(now, 1)
	s.Login = &local.Login{ID: "l1", URL: "https://c.example/login/l1", Code: "WDJB-MJHT", Until: now.Add(10 * time.Minute)}
	see(t, w, s)
	see(t, w, s)
	if got := d.texts(); got != "refused:  to 100.64.0.2:443: it needs mfa: to go on, open https://c.example/login/l1 (code WDJB-MJHT)\n" {
		t.Error(got)
	}
	d.err = errors.New("the desktop has gone")
	s.Login.ID = "l2"
	_, errs := printed(t, func() { w.saw(t.Context(), s); s.Login.ID = "l3"; w.saw(t.Context(), s) })
	if len(d.shown) != 1 || !strings.Contains(errs, "warning: nothing is shown on a desktop: the desktop has gone\n") || strings.Count(errs, "on a desktop") != 1 {
		t.Errorf("%d, %s", len(d.shown), errs)
	}
}

// A daemon that stops is waited for, and said so once; Ctrl-C ends it all without
// an error; and a daemon that never was is one.
func TestWatchOutlivesTheDaemon(t *testing.T) {
	d := newDesk(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	rounds, now := 0, time.Now()
	d.answer = func() any {
		switch rounds++; {
		case rounds <= 3:
			return watching(now, 1)
		case rounds <= 6:
			return &local.Problem{Message: "the daemon is stopping"}
		case rounds == 9:
			cancel()
		}
		return watching(now, 1)
	}
	api := local.NewClient(d.socket)
	defer api.Close()
	out, errs := printed(t, func() {
		if err := (&watcher{told: map[string]time.Time{}}).run(ctx, api, time.Millisecond); err != nil {
			t.Error(err)
		}
	})
	if strings.Count(out, "running: ward") != 2 || strings.Count(errs, "the daemon is stopping; waiting for it\n") != 1 {
		t.Errorf("%s%s", out, errs)
	}
	d.mu.Lock()
	rounds = 3
	d.mu.Unlock()
	if err := (&watcher{told: map[string]time.Time{}}).run(t.Context(), api, time.Millisecond); err == nil || err.Error() != "the daemon is stopping" {
		t.Error(err)
	}
}

// The command: where there is no desktop it says so in a line, and goes on; Ctrl-C
// is how it should end.
func TestStatusWatch(t *testing.T) {
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", "")
	t.Setenv("XDG_RUNTIME_DIR", t.TempDir())
	d := newDesk(t)
	self, err := os.FindProcess(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	d.answer = func() any {
		time.AfterFunc(20*time.Millisecond, func() { self.Signal(os.Interrupt) })
		return watching(time.Now(), 1)
	}
	status, out, errs := d.run(t, "status", "--watch", "--notify")
	if status != 0 || !strings.HasPrefix(out, "running: ward") || !strings.HasPrefix(errs, "warning: nothing is shown on a desktop: there is no session bus at ") {
		t.Errorf("status %d: %s%s", status, out, errs)
	}
	if asked := d.said(); !strings.Contains(asked, `"stepUp":true`) {
		t.Errorf("somebody watches who can sign in, and the daemon is not told: %s", asked)
	}
	if status, _, errs := d.run(t, "status", "--notify"); status != 1 || errs != "cordon: --notify tells of changes: it goes with --watch\n" {
		t.Errorf("status %d: %s", status, errs)
	}
}
