package stock_test

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/coordinator/wire/key"
	"github.com/cordonmesh/cordon/node/internal/stock"
)

func prefixes(list ...string) (out []netip.Prefix) {
	for _, text := range list {
		out = append(out, netip.MustParsePrefix(text))
	}
	return out
}

func limits() stock.Limits { return stock.Limits{Prefixes: prefixes("10.99.0.0/24", "fd99::/64")} }

func newKey() (key.TunnelPublic, string) {
	k := key.NewTunnel()
	return k.Public(), stock.KeyText(k.Public())
}

func TestFileIsReadAsAnAdminOfWireGuardWritesIt(t *testing.T) {
	one, oneText := newKey()
	two, twoText := newKey()
	text := "# ward 3\r\n\n[Peer]\nName = ct-3\npublickey=" + oneText + " # from the vendor\n" +
		"AllowedIPs = fd99::2/128, 10.99.0.2\nEndpoint = [2001:db8::7]:51820\nPersistentKeepalive = 25\n" +
		"[peer]\n  AllowedIPs = 10.99.0.16/28\n  PublicKey = " + twoText + "\n  Name = pump\n  PersistentKeepalive = off"
	got, err := stock.Parse("stock.conf", []byte(text), limits())
	if err != nil {
		t.Fatal(err)
	}
	want := []stock.Peer{
		{Name: "ct-3", Key: one, Allowed: prefixes("10.99.0.2/32", "fd99::2/128"), Endpoint: netip.MustParseAddrPort("[2001:db8::7]:51820"), Keepalive: 25 * time.Second, Line: 3},
		{Name: "pump", Key: two, Allowed: prefixes("10.99.0.16/28"), Line: 9},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
	if none, err := stock.Parse("stock.conf", []byte("# nobody\n"), limits()); err != nil || len(none) != 0 {
		t.Errorf("an empty file gives %v, %v", none, err)
	}
}

// Every refusal names file and line, and what is allowed; none repeats a key.
func TestRefusalsNameFileAndLineAndWhatIsAllowed(t *testing.T) {
	own, ownText := newKey()
	_, k := newKey()
	_, other := newKey()
	within := limits()
	within.Own = own
	good := "[Peer]\nName = a\nPublicKey = " + k + "\nAllowedIPs = 10.99.0.2/32\n"
	swap := func(old, new string) string { return strings.Replace(good, old, new, 1) }
	second := func(lines string) string { return good + "[Peer]\n" + lines }
	for name, c := range map[string]struct {
		text string
		want []string
	}{
		"before a section":         {"Name = a\n", []string{":1:", "[Peer]"}},
		"no key":                   {"[Peer]\nName\n", []string{":2:", "KEY = VALUE"}},
		"the interface's section":  {"[Interface]\n", []string{":1:", "port of its own", "[Peer]"}},
		"another section":          {"[Peers]\n", []string{":1:", "[Peer]"}},
		"unknown key":              {good + "Table = off\n", []string{":5:", "PersistentKeepalive"}},
		"private key":              {good + "PrivateKey = " + other + "\n", []string{":5:", "never leaves"}},
		"preshared key":            {good + "PresharedKey = " + other + "\n", []string{":5:", "leave it out at both ends"}},
		"no name":                  {swap("Name = a\n", ""), []string{":1:", "Name"}},
		"no public key":            {swap("PublicKey = "+k+"\n", ""), []string{":1:", "PublicKey"}},
		"no addresses":             {swap("AllowedIPs = 10.99.0.2/32\n", ""), []string{":1:", "AllowedIPs"}},
		"incomplete before a next": {"[Peer]\nName = a\n" + good, []string{":1:", "PublicKey"}},
		"bad name":                 {swap("= a", "= CT 3"), []string{":2:", `"CT 3"`, "letters"}},
		"name twice":               {second("Name = a\n"), []string{":6:", "line 1"}},
		"a key twice":              {good + "Name = b\n", []string{":5:", "each once"}},
		"short public key":         {swap(k, k[:40]), []string{":3:", "44 characters"}},
		"hexadecimal key":          {swap(k, strings.Repeat("ab", 32)), []string{":3:", "44 characters"}},
		"zero key":                 {swap(k, strings.Repeat("A", 43)+"="), []string{":3:", "no key"}},
		"our key":                  {swap(k, ownText), []string{":3:", "this node itself"}},
		"public key twice":         {second("Name = b\nPublicKey = " + k + "\n"), []string{":7:", "a in line 1"}},
		"no prefix":                {swap("10.99.0.2/32", "10.99.0.2/33"), []string{":4:", "10.99.0.2/33", "10.99.0.2/32"}},
		"a name for an address":    {swap("10.99.0.2/32", "ct3"), []string{":4:", `"ct3"`}},
		"host bits":                {swap("10.99.0.2/32", "10.99.0.2/28"), []string{":4:", "10.99.0.0/28", "10.99.0.2/32"}},
		"outside":                  {swap("10.99.0.2/32", "10.98.0.2/32"), []string{":4:", "10.98.0.2/32", "10.99.0.0/24, fd99::/64"}},
		"partly outside":           {swap("10.99.0.2/32", "10.99.0.0/23"), []string{":4:", "10.99.0.0/24"}},
		"everything":               {swap("10.99.0.2/32", "0.0.0.0/0"), []string{":4:", "0.0.0.0/0", "10.99.0.0/24"}},
		"mapped":                   {swap("10.99.0.2/32", "::ffff:10.99.0.2"), []string{":4:", "10.99.0.2/32"}},
		"address twice":            {second("Name = b\nPublicKey = " + other + "\nAllowedIPs = 10.99.0.0/29\n"), []string{":8:", "line 1"}},
		"twice in a list":          {swap("10.99.0.2/32", "10.99.0.2/32, 10.99.0.2"), []string{":4:", "one peer"}},
		"too many addresses":       {swap("10.99.0.2/32", strings.Repeat("10.99.0.2/32,", 17)), []string{":4:", "at most 16"}},
		"endpoint by name":         {good + "Endpoint = ct3.example:51820\n", []string{":5:", "not looked up"}},
		"endpoint without port":    {good + "Endpoint = 192.0.2.7\n", []string{":5:", "192.0.2.7:51820"}},
		"endpoint nowhere":         {good + "Endpoint = 0.0.0.0:1\n", []string{":5:", "address and port"}},
		"bad keepalive":            {good + "Endpoint = 192.0.2.7:1\nPersistentKeepalive = 65536\n", []string{":6:", "65535"}},
		"keepalive to nobody":      {good + "PersistentKeepalive = 25\n", []string{":1:", "Endpoint"}},
		"too large":                {strings.Repeat("#", 300<<10), []string{"262144"}},
	} {
		t.Run(name, func(t *testing.T) {
			peers, err := stock.Parse("/etc/cordon/stock.conf", []byte(c.text), within)
			if err == nil || peers != nil {
				t.Fatalf("got %v and %v", peers, err)
			}
			for _, w := range append(c.want, "/etc/cordon/stock.conf:") {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("%q does not say %q", err, w)
				}
			}
			for _, secret := range []string{k[:20], other[:20], ownText[:20]} {
				if strings.Contains(err.Error(), secret) {
					t.Errorf("%q repeats a key", err)
				}
			}
		})
	}
}

func TestPeersAreBounded(t *testing.T) {
	var b strings.Builder
	for i := range 257 {
		_, k := newKey()
		fmt.Fprintf(&b, "[Peer]\nName = p%d\nPublicKey = %s\nAllowedIPs = fd99::%x\n", i, k, i+1)
		if i == 255 {
			if _, err := stock.Parse("f", []byte(b.String()), limits()); err != nil {
				t.Error(err)
			}
		}
	}
	if _, err := stock.Parse("f", []byte(b.String()), limits()); err == nil || !strings.Contains(err.Error(), "256") {
		t.Errorf("257 peers: %v", err)
	}
}

// Who may write the file lets in whom they like: it must be root or the daemon.
func TestFileThatOthersMayWriteIsRefused(t *testing.T) {
	_, k := newKey()
	path := filepath.Join(t.TempDir(), "stock.conf")
	if err := os.WriteFile(path, []byte("[Peer]\nName = a\nPublicKey = "+k+"\nAllowedIPs = 10.99.0.2/32\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for mode, ok := range map[os.FileMode]bool{0o600: true, 0o644: true, 0o664: false, 0o606: false} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if peers, err := stock.Load(path, limits()); (err == nil) != ok || ok && len(peers) != 1 {
			t.Errorf("mode %o: %v, %v", mode, peers, err)
		}
	}
	if _, err := stock.Load(filepath.Dir(path), limits()); err == nil {
		t.Error("a directory was read")
	}
	if _, err := stock.Load(path+"x", limits()); err == nil {
		t.Error("a missing file was read")
	}
}

// What the client is given can be read back by the same rules, and holds no secret.
func TestClientsConfigurationIsWhole(t *testing.T) {
	k := key.NewTunnel()
	p := stock.Peer{Name: "ct-3", Allowed: prefixes("10.99.0.2/32", "fd99::2/128")}
	text := p.Config(stock.Gateway{
		Name: "gw", Key: k.Public(), Reach: prefixes("100.64.0.0/10", "fd5a::/48"), MTU: 1280,
		Endpoints: []netip.AddrPort{netip.MustParseAddrPort("192.0.2.7:41641"), netip.MustParseAddrPort("[2001:db8::1]:41641")},
	})
	for _, want := range []string{
		"[Interface]\n", "Address = 10.99.0.2/32, fd99::2/128\n", "MTU = 1280\n", "[Peer]\nPublicKey = " + stock.KeyText(k.Public()) + "\n",
		"AllowedIPs = 100.64.0.0/10, fd5a::/48\n", "\nEndpoint = 192.0.2.7:41641\n", "\n# Endpoint = [2001:db8::1]:41641\n", "\n# PrivateKey =\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
	if text := p.Config(stock.Gateway{Name: "gw"}); !strings.Contains(text, "\n# Endpoint =\n") {
		t.Errorf("without a known endpoint:\n%s", text)
	}
}

// Whatever a file holds, what comes of it keeps to the limits.
func FuzzParse(f *testing.F) {
	k := key.NewTunnel()
	good := "[Peer]\nName = a\nPublicKey = " + stock.KeyText(k.Public()) + "\nAllowedIPs = 10.99.0.2/32, fd99::/96\nEndpoint = 192.0.2.7:1\nPersistentKeepalive = 25\n"
	f.Add([]byte(good))
	f.Add([]byte(good + strings.ToUpper(good)))
	f.Add([]byte("[Peer]\n[Peer]\r\n= = =\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		peers, err := stock.Parse("f", text, limits())
		if err != nil {
			if !strings.HasPrefix(err.Error(), "f:") || len(err.Error()) > 1000 {
				t.Errorf("%q", err)
			}
			return
		}
		names, all := map[string]bool{}, []netip.Prefix{}
		for _, p := range peers {
			if names[p.Name] || p.Name == "" || p.Key.IsZero() || len(p.Allowed) == 0 || p.Keepalive%time.Second != 0 {
				t.Errorf("%+v", p)
			}
			names[p.Name] = true
			for _, a := range p.Allowed {
				if a != a.Masked() || !slices.ContainsFunc(limits().Prefixes, func(q netip.Prefix) bool { return q.Contains(a.Addr()) && q.Bits() <= a.Bits() }) ||
					slices.ContainsFunc(all, a.Overlaps) {
					t.Errorf("%v has %v", p.Name, a)
				}
				all = append(all, a)
			}
		}
	})
}
