package dns_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cordonmesh/cordon/node/internal/dns"
)

// What was in a file is there again after our lines were in it, whatever it is,
// to the last byte, with its mode, and through a link.
func TestFileIsGivenBackAsItWas(t *testing.T) {
	for what, text := range map[string]string{
		"plain":          "nameserver 192.0.2.53\n",
		"no last line":   "search a.example\nnameserver 192.0.2.53",
		"with all of it": "# made by x\n; old style\ndomain a.example\noptions edns0 trust-ad ndots:2\nnameserver fe80::1%eth0\n\n\nsortlist 130.155.160.0\r\n",
		"of others":      "# cordon cordon1: the other mesh's\nnameserver 127.67.9.9\nnameserver 192.0.2.53\n",
	} {
		dir := t.TempDir()
		path, link := filepath.Join(dir, "real"), filepath.Join(dir, "resolv.conf")
		write(t, path, text)
		if err := os.Chmod(path, 0o604); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink("real", link); err != nil {
			t.Fatal(err)
		}
		for range 2 { // putting it in twice puts it in once
			if err := dns.Insert(link, "cordon0"); err != nil {
				t.Fatalf("%s: %v", what, err)
			}
		}
		with := read(t, path)
		if !strings.HasSuffix(with, text) || strings.Count(with, dns.Loopback("cordon0").String()) != 1 {
			t.Errorf("%s: with ours it is\n%s", what, with)
		}
		if there, err := dns.Restore(link, "cordon0"); err != nil || !there {
			t.Errorf("%s: restoring: %t, %v", what, there, err)
		}
		info, err := os.Lstat(link)
		if got := read(t, path); got != text || err != nil || info.Mode()&os.ModeSymlink == 0 {
			t.Errorf("%s: left is\n%q, want\n%q", what, got, text)
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o604 {
			t.Errorf("%s: its mode is %v, %v", what, info.Mode(), err)
		}
		if there, err := dns.Restore(link, "cordon0"); err != nil || there {
			t.Errorf("%s: there was still something: %v", what, err)
		}
	}
	if there, err := dns.Restore(filepath.Join(t.TempDir(), "none"), "cordon0"); there || err != nil {
		t.Error("no file:", there, err)
	}
}

// Our lines are found wherever another program moved them to, and whichever of
// them it left.
func TestOurLinesAreFoundAnywhere(t *testing.T) {
	path := filepath.Join(t.TempDir(), "resolv.conf")
	ours := "nameserver " + dns.Loopback("cordon0").String() + "\n"
	for _, text := range []string{
		"nameserver 192.0.2.53\n" + ours, "  " + ours + "nameserver 192.0.2.53\n", "# cordon cordon0: x\nnameserver 192.0.2.53\n",
		"nameserver 192.0.2.53\n" + ours + "# cordon cordon0: x", "# cordon cordon0: x\n" + ours + ours + "nameserver 192.0.2.53\n",
	} {
		write(t, path, text)
		if there, err := dns.Restore(path, "cordon0"); !there || err != nil {
			t.Errorf("%q: %t, %v", text, there, err)
		}
		if got := read(t, path); got != "nameserver 192.0.2.53\n" {
			t.Errorf("%q became %q", text, got)
		}
	}
}

// Of two meshes in one file the upper asks the lower, and not the reverse, in
// whatever order they came and go.
func TestTwoMeshesInOneFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "resolv.conf")
	write(t, path, "nameserver 192.0.2.53\n")
	for _, iface := range []string{"cordon0", "cordon1"} {
		if err := dns.Insert(path, iface); err != nil {
			t.Fatal(err)
		}
	}
	upper, lower := fmt.Sprint(dns.Originals(path, "cordon1")), fmt.Sprint(dns.Originals(path, "cordon0"))
	if upper != fmt.Sprintf("[%s:53 192.0.2.53:53]", dns.Loopback("cordon0")) || lower != "[192.0.2.53:53]" {
		t.Errorf("the upper asks %s, the lower %s", upper, lower)
	}
	for _, iface := range []string{"cordon0", "cordon1"} {
		if there, err := dns.Restore(path, iface); !there || err != nil {
			t.Error(iface, there, err)
		}
	}
	if got := read(t, path); got != "nameserver 192.0.2.53\n" {
		t.Errorf("left is %q", got)
	}
}
