package node

import (
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/acl/filter"
	"github.com/cordonmesh/cordon/node/internal/control"
)

// What drains is kept for the next run and for none after it, not for a mesh that its
// user has taken down; of a damaged file there is nothing, then or later.
func TestDrainsAreKeptForOneRun(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	dir, err := control.OpenDir(path)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	next := func() *mesh {
		m := &mesh{node: &Node{dir: dir}, log: slog.New(slog.DiscardHandler)}
		m.loadDrains()
		return m
	}
	all := []filter.Drain{{
		Began: filter.Out, Protocol: acl.TCP, Own: netip.MustParseAddrPort("100.64.0.1:5000"), Peer: netip.MustParseAddrPort("[fd00::1]:443"),
		Payer: "n-b", Session: 1<<64 - 1, Rule: 1<<32 - 1, Until: time.Unix(1e9, 1).UTC(),
	}}
	ends := func(down bool) {
		t.Helper()
		m := next()
		m.drains = all
		m.down.Store(down)
		m.keepDrains()
	}
	ends(false)
	if got := next().drains; !reflect.DeepEqual(got, all) {
		t.Errorf("the next run has %+v, want %+v", got, all)
	}
	if got := next().drains; got != nil {
		t.Errorf("the run after it has %+v", got)
	}
	ends(true)
	if got := next().drains; got != nil {
		t.Errorf("a mesh that was taken down has %+v", got)
	}
	file := filepath.Join(path, "drains.json")
	for _, damaged := range []string{"", "[{", `[{"Began": 1}, {"Began": "out"}]`} {
		if err := os.WriteFile(file, []byte(damaged), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := next().drains; got != nil {
			t.Errorf("of a damaged file it has %+v", got)
		}
		if _, err := os.Stat(file); !os.IsNotExist(err) {
			t.Errorf("a damaged file is still there: %v", err)
		}
	}
}
