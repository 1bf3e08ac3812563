package coordinator_test

import (
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/coordinator"
	"github.com/cordonmesh/cordon/coordinator/internal/ipam"
	"github.com/cordonmesh/cordon/coordinator/internal/registry"
	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/coordinator/wire/key"
)

// founder stands for whoever runs init.
const founder = registry.System

// FuzzSetup takes what stands on the command line of init. What passes must
// make a mesh: the registry takes it, and the enrolment strings that will name
// its URL can be read. Keys and store are on the disk before the registry is
// asked, so a refusal there would leave half a coordinator.
func FuzzSetup(f *testing.F) {
	f.Fuzz(func(t *testing.T, dir, url, domain, ipv4, ipv6 string) {
		s := coordinator.Setup{StateDir: dir, URL: url, Domain: domain}
		s.IPv4, _ = netip.ParsePrefix(ipv4) // the command refuses what does not parse
		s.IPv6, _ = netip.ParsePrefix(ipv6)
		if err := s.Validate(); err != nil {
			if len(err.Error()) > 2*(len(dir)+len(url)+len(domain))*4+400 {
				t.Fatalf("an error of %d bytes", len(err.Error()))
			}
			return
		}
		e := wire.Enrolment{URL: s.URL, Fingerprint: key.Fingerprint{1}, Secret: strings.Repeat("a", 26)}
		if again, err := wire.ParseEnrolment(e.Reveal()); err != nil || again != e {
			t.Fatalf("url %q passes, and its enrolment strings do not: %v", url, err)
		}
		if coordinator.CertificateNames(s.URL) != 1 {
			t.Fatalf("url %q passes, and no certificate can be for it", url)
		}
		init := registry.Init{Mesh: wire.MeshID{1}, Domain: s.Domain, IPv4: s.IPv4.Masked(), IPv6: s.IPv6.Masked()}
		if init.Domain == "" {
			init.Domain = "mesh.internal"
		}
		if !s.IPv4.IsValid() {
			init.IPv4 = ipam.DefaultIPv4()
		}
		if !s.IPv6.IsValid() {
			init.IPv6 = ipam.RandomULA()
		}
		var d registry.Decider
		if _, err := d.Decide(&registry.State{}, init, founder, time.Unix(1, 0)); err != nil {
			t.Fatalf("%+v passes, and the registry refuses: %v", s, err)
		}
	})
}

// FuzzConfig takes what stands on the command line of serve.
func FuzzConfig(f *testing.F) {
	f.Fuzz(func(t *testing.T, dir, listen, metrics, cert, certKey string) {
		c := coordinator.Config{StateDir: dir, Listen: listen, Metrics: metrics, WebCert: cert, WebKey: certKey}
		err := c.Validate()
		if err != nil {
			return
		}
		if dir == "" || (cert == "") != (certKey == "") {
			t.Fatalf("%+v passes", c)
		}
		for _, address := range []string{listen, metrics} {
			if _, _, err := net.SplitHostPort(address); address != "" && err != nil {
				t.Fatalf("address %q passes: %v", address, err)
			}
		}
	})
}

// FuzzSettings takes a settings file as a disk gives it back. What is read
// names a URL; else the error names the file and repeats little of it.
func FuzzSettings(f *testing.F) {
	dir := f.TempDir()
	path := filepath.Join(dir, "coordinator.json")
	f.Fuzz(func(t *testing.T, b []byte) {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		url, err := coordinator.ReadSettings(dir)
		if (err == nil) != (url != "") {
			t.Fatalf("url %q with error %v", url, err)
		}
		if err != nil && (!strings.Contains(err.Error(), path) || len(err.Error()) > len(path)+200) {
			t.Fatalf("error %v", err)
		}
	})
}
