package control_test

import (
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/cordonmesh/cordon/coordinator/wire/key"
	"github.com/cordonmesh/cordon/node/internal/control"
)

func TestWhereStockPeersWereOutlivesTheRun(t *testing.T) {
	path := filepath.Join(t.TempDir(), "node")
	dir, err := control.OpenDir(path)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	if got := dir.Heard(); len(got) != 0 {
		t.Errorf("a new directory knows %v", got)
	}
	k := key.NewTunnel()
	want := map[key.TunnelPublic]netip.AddrPort{k.Public(): netip.MustParseAddrPort("[2001:db8::7]:51820")}
	if err := dir.SaveHeard(want); err != nil {
		t.Fatal(err)
	}
	if got := dir.Heard(); !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	for _, text := range []string{"", "[]", `{"tunnel:00": "192.0.2.7:1"}`, `{"x": 1}`} {
		if err := os.WriteFile(filepath.Join(path, "stock.json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := dir.Heard(); len(got) != 0 {
			t.Errorf("%q gives %v", text, got)
		}
	}
}
