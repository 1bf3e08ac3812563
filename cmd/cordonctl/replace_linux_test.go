package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// A file that is written back is whole or as it was, and keeps its mode, its owner, the
// link that leads to it, and its other names.
func TestReplaceFile(t *testing.T) {
	dir := t.TempDir()
	path, link := filepath.Join(dir, "p.hujson"), filepath.Join(dir, "link")
	if err := os.WriteFile(path, []byte("{}"), 0o640); err != nil {
		t.Fatal(err)
	}
	owner := os.Getuid()
	if owner == 0 {
		owner = 65534
		if err := os.Chown(path, owner, owner); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("p.hujson", link); err != nil {
		t.Fatal(err)
	}
	if err := replaceFile(link, []byte("{}\n")); err != nil {
		t.Fatal(err)
	}
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	if uid := info.Sys().(*syscall.Stat_t).Uid; info.Mode() != 0o640 || int(uid) != owner {
		t.Errorf("mode %v, owner %d", info.Mode(), uid)
	}
	if to, err := os.Readlink(link); err != nil || to != "p.hujson" {
		t.Errorf("the link is %q: %v", to, err)
	}
	second := filepath.Join(dir, "second")
	if err := os.Link(path, second); err != nil {
		t.Fatal(err)
	}
	if err := replaceFile(path, []byte("other")); err == nil || !strings.Contains(err.Error(), "has 2 names") {
		t.Error(err)
	}
	names, err := filepath.Glob(filepath.Join(dir, ".*"))
	if err != nil || len(names) > 0 {
		t.Errorf("left behind: %v %v", names, err)
	}
	for _, name := range []string{path, second} {
		if text, err := os.ReadFile(name); err != nil || string(text) != "{}\n" {
			t.Errorf("%s holds %q: %v", name, text, err)
		}
	}
}
