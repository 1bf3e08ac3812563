package control_test

import (
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/cordonmesh/cordon/node/internal/control"
)

func TestRangesOutliveTheRun(t *testing.T) {
	path := filepath.Join(t.TempDir(), "node")
	dir, err := control.OpenDir(path)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	if got := dir.Ranges(); got != nil {
		t.Errorf("a new directory knows of %v", got)
	}
	want := []netip.Prefix{netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("fd00:1::/48")}
	if err := dir.SaveRanges(want); err != nil {
		t.Fatal(err)
	}
	if got := dir.Ranges(); !slices.Equal(got, want) {
		t.Errorf("noted %v, read %v", want, got)
	}
	if err := os.WriteFile(filepath.Join(path, "ranges.json"), []byte(`["100.64.0.0/`), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := dir.Ranges(); got != nil {
		t.Errorf("a damaged file gives %v", got)
	}
}
