package integration

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/integration/lab"
	"github.com/cordonmesh/cordon/integration/lab/desktoptest"
)

// noticesSoon is a session that ends so soon that its person is told of that.
const noticesSoon = 9 * time.Minute

// watcher is `cordon status --watch --notify` in somebody's desktop session.
type watcher struct {
	errors *bufio.Scanner
	end    func()
}

// watch has an account watch, with what its session says is its bus.
func (d *sharedDesk) watch(uid int, bus string) *watcher {
	d.t.Helper()
	ctx, cancel := context.WithCancel(d.t.Context())
	cmd := exec.CommandContext(ctx, d.programs.Path("cordon"), "--socket", d.nodes["desk"].Socket(), "status", "--watch", "--notify")
	cmd.Env = append(os.Environ(), "DBUS_SESSION_BUS_ADDRESS="+bus)
	errs, err := cmd.StderrPipe()
	if err == nil {
		err = d.Host("desk").As(uid).Start(cmd)
	}
	if err != nil {
		d.t.Fatal(err)
	}
	return &watcher{bufio.NewScanner(errs), func() { cancel(); cmd.Wait() }}
}

// At a machine of several people the desktop of each tells the end of their own
// session, and of no colleague's; nobody's notices get to a colleague's bus, not even
// where their environment names it.
func (d *sharedDesk) tellsEachOnTheirDesktop(t *testing.T) {
	t.Helper()
	desk := d.Host("desk")
	desktops, buses := map[int]*desktoptest.Desktop{}, map[int]*lab.SessionBus{}
	for _, uid := range []int{nina, ben} {
		buses[uid] = desk.As(uid).StartSessionBus()
		conn, err := buses[uid].Dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		desktops[uid] = desktoptest.Open(t, conn)
	}
	astray := d.watch(ben, buses[nina].Address)
	defer astray.end()
	for _, uid := range []int{nina, ben} {
		defer d.watch(uid, buses[uid].Address).end()
	}
	for uid, who := range map[int]string{nina: "nina", ben: "ben"} {
		own := ": the session of " + who + "@hospital.example: `cordon login`"
		lab.Eventually(t, patience, "the desktop of "+who+" tells of the end", func() (bool, string) {
			shown := desktops[uid].Shown()
			return slices.ContainsFunc(shown, func(s string) bool { return strings.HasPrefix(s, "Cordon: ends in ") && strings.Contains(s, own) }), fmt.Sprintf("%q", shown)
		})
	}
	if !astray.errors.Scan() || !strings.Contains(astray.errors.Text(), "nothing is shown on a desktop") {
		t.Errorf("ben at nina's bus: %q", astray.errors.Text())
	}
	for uid, others := range map[int][]string{nina: {"ben@", "rule doctors"}, ben: {"nina@", "rule nurses"}} {
		for _, text := range desktops[uid].Shown() {
			if strings.Contains(text, others[0]) || strings.Contains(text, others[1]) {
				t.Errorf("%d is told of a colleague: %q", uid, text)
			}
		}
	}
}
