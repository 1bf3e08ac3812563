package auth_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/coordinator/internal/auth"
	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/coordinator/wire/key"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

const day = 24 * time.Hour

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// create makes keys in a folder of their own.
func create(t testing.TB) (a *auth.Authority, r auth.Recovery, folder string) {
	t.Helper()
	folder = filepath.Join(t.TempDir(), "keys")
	a, r, err := auth.Create(folder, "one", noon)
	must(t, err)
	return a, r, folder
}

func TestCreateAndLoad(t *testing.T) {
	a, _, folder := create(t)
	b, err := auth.Load(folder, noon)
	must(t, err)
	if a.Mesh() != b.Mesh() || a.Fingerprint() != b.Fingerprint() || a.MapKey().Public() != b.MapKey().Public() || b.RootOffline() {
		t.Error("what is loaded is not what was created")
	}
	if _, _, err := auth.Create(folder, "one", noon); !errors.Is(err, auth.ErrExists) {
		t.Errorf("a second Create gives %v", err)
	}
	must(t, filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		must(t, err)
		info, err := d.Info()
		must(t, err)
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %o", path, info.Mode().Perm())
		}
		return nil
	}))
	if _, err := auth.Load(filepath.Join(t.TempDir(), "none"), noon); !errors.Is(err, auth.ErrMissing) {
		t.Errorf("no folder gives %v", err)
	}
}

func TestMapKeyIsTrusted(t *testing.T) {
	a, _, _ := create(t)
	trust := wire.NewTrust(a.Root())
	for _, c := range a.MapKeyCertificates() {
		must(t, trust.Add(c))
	}
	must(t, trust.Check(a.MapKey().Public(), noon))
	must(t, trust.Check(a.MapKey().Public(), noon.Add(364*day)))
	if trust.Check(a.MapKey().Public(), noon.Add(366*day)) == nil {
		t.Error("a map key lasts for more than a year")
	}
}

func TestRefusesWhatOthersCanRead(t *testing.T) {
	for _, name := range []string{"", "root.key", "root.crt", "ca.pem", "map.key", "recovery.pub"} {
		for _, mode := range []os.FileMode{0o040, 0o004, 0o020, 0o002} {
			_, _, folder := create(t)
			path := filepath.Join(folder, name)
			info, err := os.Stat(path)
			must(t, err)
			must(t, os.Chmod(path, info.Mode().Perm()|mode))
			if _, err := auth.Load(folder, noon); !errors.Is(err, auth.ErrExposed) || !strings.Contains(err.Error(), path) {
				t.Errorf("%q with %o more: %v", name, mode, err)
			}
		}
	}
	_, _, folder := create(t)
	path := filepath.Join(folder, "map.key")
	must(t, os.Rename(path, path+".elsewhere"))
	must(t, os.Symlink(path+".elsewhere", path))
	if _, err := auth.Load(folder, noon); !errors.Is(err, auth.ErrKeys) {
		t.Errorf("a symbolic link gives %v", err)
	}
}

func TestRefusesAnotherKeysCertificate(t *testing.T) {
	a, _, folder := create(t)
	path := filepath.Join(folder, "map.key")
	old, err := os.ReadFile(path)
	must(t, err)
	_, err = a.Renew(noon.Add(300 * day))
	must(t, err)
	fresh, err := os.ReadFile(path)
	must(t, err)
	oldKey, _, _ := strings.Cut(string(old), "\n")
	_, freshCertificate, _ := strings.Cut(string(fresh), "\n")
	must(t, os.WriteFile(path, []byte(oldKey+"\n"+freshCertificate), 0o600))
	if _, err := auth.Load(folder, noon.Add(300*day)); !errors.Is(err, auth.ErrKeys) {
		t.Errorf("a map key with another one's certificate: %v", err)
	}
}

// Of the files that Create makes only the root's key may be away.
func TestNamesAMissingFileAndTheWayBack(t *testing.T) {
	for _, name := range []string{"root.crt", "ca.pem", "map.key", "recovery.pub", "replica"} {
		_, _, folder := create(t)
		must(t, os.Remove(filepath.Join(folder, name)))
		_, err := auth.Load(folder, noon)
		if !errors.Is(err, auth.ErrKeys) || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), "cordon-coordinator restore") {
			t.Errorf("without %s: %v", name, err)
		}
	}
}

// Whatever is wrong with a file, its content is not in the error.
func TestErrorsKeepSecrets(t *testing.T) {
	for _, name := range []string{"root.key", "root.crt", "ca.pem", "map.key", "recovery.pub"} {
		_, _, folder := create(t)
		_, _, other := create(t)
		path := filepath.Join(folder, name)
		foreign, err := os.ReadFile(filepath.Join(other, name))
		must(t, err)
		own, err := os.ReadFile(path)
		must(t, err)
		for what, text := range map[string][]byte{"empty": nil, "half": own[:len(own)/2], "text": []byte("s3cret"), "another mesh's": foreign,
			"too long": make([]byte, 1<<20), "a root key": []byte(rootSecret())} {
			if name == "recovery.pub" && what == "another mesh's" {
				continue // any recipient is one
			}
			must(t, os.WriteFile(path, text, 0o600))
			_, err := auth.Load(folder, noon)
			if !errors.Is(err, auth.ErrKeys) || !strings.Contains(err.Error(), folder) {
				t.Errorf("%s, %s: %v", name, what, err)
				continue
			}
			for line := range strings.Lines(string(text)) {
				if line = strings.TrimSpace(line); len(line) > 3 && len(line) < 200 && strings.Contains(err.Error(), line) {
					t.Errorf("%s, %s: the error repeats the file: %v", name, what, err)
				}
			}
		}
	}
}

func rootSecret() string {
	k := key.NewRoot()
	return k.Secret()
}

func TestRootOffline(t *testing.T) {
	a, _, folder := create(t)
	must(t, os.Remove(filepath.Join(folder, "root.key")))
	b, err := auth.Load(folder, noon)
	must(t, err)
	if !b.RootOffline() || b.Mesh() != a.Mesh() {
		t.Error("without its root the mesh is another one")
	}
	_, err = b.NodeCertificate(newNode(), noon)
	must(t, err)
	if renewed, err := b.Renew(noon.Add(300 * day)); renewed || err != nil {
		t.Errorf("near the end: %t, %v", renewed, err)
	}
	if _, err := b.Renew(noon.Add(366 * day)); !errors.Is(err, auth.ErrRootOffline) {
		t.Errorf("after the end: %v", err)
	}
	if _, err := auth.Load(folder, noon.Add(366*day)); !errors.Is(err, auth.ErrRootOffline) {
		t.Errorf("a start after the end: %v", err)
	}
}

func TestRenew(t *testing.T) {
	a, _, folder := create(t)
	first := a.MapKey().Public()
	if renewed, err := a.Renew(noon.Add(200 * day)); renewed || err != nil {
		t.Fatalf("after 200 days: %t, %v", renewed, err)
	}
	if renewed, err := a.Renew(noon.Add(300 * day)); !renewed || err != nil {
		t.Fatalf("after 300 days: %t, %v", renewed, err)
	}
	if a.MapKey().Public() == first || len(a.MapKeyCertificates()) != 2 {
		t.Error("the map key has no successor")
	}
	trust := wire.NewTrust(a.Root())
	for _, c := range a.MapKeyCertificates() {
		must(t, trust.Add(c))
	}
	must(t, trust.Check(first, noon.Add(300*day)))
	must(t, trust.Check(a.MapKey().Public(), noon.Add(600*day)))

	old, err := a.NodeCertificate(newNode(), noon.Add(1250*day))
	must(t, err)
	late := noon.Add(1300 * day) // a third of the CA's life is left
	b, err := auth.Load(folder, late)
	must(t, err)
	fresh, err := b.NodeCertificate(newNode(), late)
	must(t, err)
	if string(old[1]) == string(fresh[1]) {
		t.Error("the CA has no successor")
	}
	for _, chain := range [][][]byte{old, fresh} {
		must(t, verify(b, chain, late))
	}
}

func newNode() key.NodePublic {
	k := key.NewNode()
	return k.Public()
}

// verify checks a node's chain as a server does.
func verify(a *auth.Authority, chain [][]byte, now time.Time) error {
	leaf, err := x509.ParseCertificate(chain[0])
	if err != nil {
		return err
	}
	ca, err := x509.ParseCertificate(chain[1])
	if err != nil {
		return err
	}
	between := x509.NewCertPool()
	between.AddCert(ca)
	_, err = leaf.Verify(x509.VerifyOptions{Roots: a.RootPool(), Intermediates: between, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	return err
}

func TestNodeCertificate(t *testing.T) {
	a, _, _ := create(t)
	k := newNode()
	chain, err := a.NodeCertificate(k, noon)
	must(t, err)
	must(t, verify(a, chain, noon.Add(89*day)))
	if verify(a, chain, noon.Add(91*day)) == nil {
		t.Error("a node certificate lasts for more than 90 days")
	}
	other, _, _ := create(t)
	if verify(other, chain, noon) == nil {
		t.Error("another mesh takes the certificate")
	}
	leaf, err := x509.ParseCertificate(chain[0])
	must(t, err)
	if want := wire.SPIFFEID(a.Mesh(), wire.NodeID(k)).String(); len(leaf.URIs) != 1 || leaf.URIs[0].String() != want || leaf.IsCA {
		t.Errorf("it names %v, want %s", leaf.URIs, want)
	}
	if _, err := a.NodeCertificate(key.NodePublic{}, noon); err == nil {
		t.Error("no key has a certificate")
	}
}

func TestServerCertificate(t *testing.T) {
	a, _, _ := create(t)
	c, err := a.ServerCertificate([]string{"coord.clinic.example"}, []netip.Addr{netip.MustParseAddr("192.0.2.1")}, noon)
	must(t, err)
	root, err := wire.VerifyCoordinator(c.Certificate, a.Fingerprint(), noon)
	must(t, err)
	if root != a.Root() {
		t.Error("the chain leads to another root")
	}
	for _, name := range []string{"coord.clinic.example", "192.0.2.1", wire.NodeServerName} {
		must(t, c.Leaf.VerifyHostname(name))
	}
	other, _, _ := create(t)
	if _, err := wire.VerifyCoordinator(c.Certificate, other.Fingerprint(), noon); err == nil {
		t.Error("another mesh takes the coordinator")
	}
	// A node's certificate is none of a coordinator's.
	chain, err := a.NodeCertificate(newNode(), noon)
	must(t, err)
	if _, err := wire.VerifyCoordinator(append(chain, c.Certificate[2]), a.Fingerprint(), noon); err == nil {
		t.Error("a node passes for the coordinator")
	}
}

func TestServerCertificatesAreMadeAnew(t *testing.T) {
	a, _, _ := create(t)
	now := noon
	get := a.ServerCertificates(nil, nil, func() time.Time { return now })
	first, err := get(nil)
	must(t, err)
	if again, err := get(nil); err != nil || again != first {
		t.Error("each connection has a certificate of its own")
	}
	now = noon.Add(16 * day)
	if next, err := get(nil); err != nil || next == first || !next.Leaf.NotAfter.After(first.Leaf.NotAfter) {
		t.Errorf("after 16 days the certificate is the old one, %v", err)
	}
}

func TestHandshake(t *testing.T) {
	a, _, _ := create(t)
	node := key.NewNode()
	chain, err := a.NodeCertificate(node.Public(), noon)
	must(t, err)
	clock := func() time.Time { return noon }
	near, far := net.Pipe()
	server := tls.Server(near, &tls.Config{GetCertificate: a.ServerCertificates(nil, nil, clock), ClientAuth: tls.RequireAndVerifyClientCert,
		ClientCAs: a.RootPool(), Time: clock, MinVersion: tls.VersionTLS13})
	client := tls.Client(far, wire.ClientTLS(wire.NodeCertificate(&node, chain), a.Fingerprint(), clock))
	done := make(chan error, 1)
	go func() {
		err := client.Handshake()
		if err == nil {
			_, err = client.Read(make([]byte, 1)) // TLS 1.3 tells a client of its refusal here
		}
		done <- err
	}()
	must(t, server.Handshake())
	_, err = server.Write([]byte{1})
	must(t, err)
	must(t, <-done)
	state := server.ConnectionState()
	if k, err := wire.CallerKey(&state); err != nil || k != node.Public() {
		t.Errorf("the caller is %v, %v", k, err)
	}
	near.Close()
	far.Close()
}

func TestNothingPrintsSecrets(t *testing.T) {
	_, recovery, _ := create(t)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		hidden, text := recovery.Reveal(), fmt.Sprintf(verb+verb, recovery, &recovery)
		if strings.Contains(text, hidden) || strings.Contains(text, fmt.Sprintf("%x", hidden)) {
			t.Errorf("%s prints %s", verb, text)
		}
	}
	if _, err := recovery.MarshalText(); err == nil {
		t.Error("a recovery key marshals")
	}
	if _, err := auth.ParseRecovery("AGE-SECRET-KEY-1MISTYPED"); err == nil || strings.Contains(err.Error(), "MISTYPED") {
		t.Errorf("a mistyped recovery key gives %v", err)
	}
}
