//go:build linux

package lab_test

import (
	"encoding/json"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/integration/lab"
	"github.com/cordonmesh/cordon/node/local"
)

// actors are stand-ins for the programs, so that the lab's part in running them
// is tested by itself: what they are given is what they write into a file.
func actors(t *testing.T) lab.Programs {
	t.Helper()
	dir := t.TempDir()
	for name, script := range map[string]string{
		"cordon-coordinator": `echo "$@"; [ "$1" = init ] || exec sleep 600`,
		"cordonctl": `echo "$@" >> "$(dirname "$2")/asked"
case "$*" in
*token*) echo '{"text": "cordon:https://10.77.0.1:8443#aa.bb"}' ;;
*policy*) cat > "$(dirname "$2")/policy" ;;
esac`,
		"cordon": `case "$*" in
*daemon*) echo "$@"; exec sleep 600 ;;
*up*) cat > "$(dirname "$2")/enrolment" ;;
esac`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv(lab.BinVariable, dir)
	return lab.Build(t)
}

// speak answers on a daemon's socket in its place.
func speak(t *testing.T, socket string, status local.Status) {
	t.Helper()
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { json.NewEncoder(w).Encode(status) })}
	done := make(chan struct{})
	go func() { defer close(done); server.Serve(l) }()
	t.Cleanup(func() { server.Close(); <-done })
}

func wantFile(t *testing.T, path, want string) {
	t.Helper()
	if text, err := os.ReadFile(path); err != nil || !strings.Contains(string(text), want) {
		t.Errorf("%s: %q, %v; want %q in it", filepath.Base(path), text, err, want)
	}
}

func wantLog(t *testing.T, p *lab.Process, want string) {
	t.Helper()
	lab.Eventually(t, 20*time.Second, p.Name+" says "+want, func() (bool, string) {
		return strings.Contains(p.Log(), want), p.Log()
	})
}

func TestCoordinatorIsMadeServedAndAsked(t *testing.T) {
	if !lab.Require(t) {
		return
	}
	programs := actors(t)
	l := lab.Up(t, lab.Segment("hub"))
	c := programs.StartCoordinator(l.Host("hub"), netip.AddrPortFrom(l.Host("hub").Addr4(), 8443))
	wantLog(t, c.Process, "serve --state "+c.State+" --listen 10.77.0.1:8443 --metrics 10.77.0.1:8444")
	if token := c.Token("nina@hospital.example"); token != "cordon:https://10.77.0.1:8443#aa.bb" {
		t.Errorf("the token is %q", token)
	}
	c.Token("tag:ehr", "--uses", "3")
	c.SetPolicy(`{"grants": []}`)
	wantFile(t, filepath.Join(c.State, "asked"), "--json token create --user nina@hospital.example\n")
	wantFile(t, filepath.Join(c.State, "asked"), "--json token create --tag tag:ehr --uses 3\n")
	wantFile(t, filepath.Join(c.State, "policy"), `{"grants": []}`)
	c.Process.Kill()
	c.Start()
	if ended, _ := c.Process.Exited(); ended {
		t.Error("killed and started again, and not there")
	}
}

func TestDaemonIsStartedJoinedAndDrawn(t *testing.T) {
	if !lab.Require(t) {
		return
	}
	programs := actors(t)
	l := lab.Up(t, lab.Segment("ward"))
	speak(t, filepath.Join(l.Dir("ward-node"), "cordon.sock"), local.Status{
		State: local.StateRunning, Name: "ward", Addresses: []netip.Addr{netip.MustParseAddr("fd00::1"), netip.MustParseAddr("100.64.0.1")},
		Map: local.MapStatus{Revision: 7},
		Peers: []local.Peer{
			{Name: "ehr", Path: "direct", Endpoint: "10.77.0.9:51820"},
			{Name: "pacs", Path: "none", Why: "nobody answers"},
		},
	})
	d := programs.StartDaemon(l.Host("ward"), "--userspace")
	wantLog(t, d.Process, "--socket "+d.Socket()+" daemon --state "+d.State+" --userspace")
	d.Up("cordon:secret")
	wantFile(t, filepath.Join(d.State, "enrolment"), "cordon:secret\n")
	d.WaitPaths("ehr")
	d.WaitRevision(7)
	if d.Mesh4().String() != "100.64.0.1" || d.Mesh6().String() != "fd00::1" {
		t.Errorf("mesh addresses %s and %s", d.Mesh4(), d.Mesh6())
	}
	drawing := l.Draw()
	for _, want := range []string{"ward ===direct===> ehr (10.77.0.9:51820", "ward - - none - -> pacs (nobody answers)", "revision 7"} {
		if !strings.Contains(drawing, want) {
			t.Errorf("the drawing lacks %q:\n%s", want, drawing)
		}
	}
}
