package coordinator_test

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/cordonmesh/cordon/coordinator"
	"github.com/cordonmesh/cordon/coordinator/admin"
)

// heardBySyslog gives where a collector listens, and waits until one of its messages has
// all of the texts. It does so within a minute.
func heardBySyslog(t *testing.T) (address string, hears func(texts ...string)) {
	t.Helper()
	at, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { at.Close() })
	var all strings.Builder
	return "udp://" + at.LocalAddr().String(), func(texts ...string) {
		t.Helper()
		at.SetReadDeadline(time.Now().Add(time.Minute))
		for buf := make([]byte, 8<<10); ; {
			missed := ""
			for _, text := range texts {
				if !strings.Contains(all.String(), text) {
					missed = text
				}
			}
			if missed == "" {
				return
			}
			n, _, err := at.ReadFrom(buf)
			if err != nil {
				t.Fatalf("nobody is told of %q: %v\n%s", missed, err, all.String())
			}
			fmt.Fprintf(&all, "%s\n", buf[:n])
		}
	}
}

// Of what renews by itself an admin is told if it does not: where the mesh root is away,
// its keys lapse. So they are of what only people renew, by syslog too, and before.
func TestAdminIsToldBeforeWhateverLapses(t *testing.T) {
	cert, certKey := webCertificate(t)
	address, hears := heardBySyslog(t)
	at := &clock{now: time.Now()}
	r := begin(t, func(c *coordinator.Config) {
		c.Now, c.WebCert, c.WebKey = at.Now, cert, certKey
		c.Warnings = coordinator.Warnings{Syslog: address}
	})
	year := at.Now().Add(365 * 24 * time.Hour)
	text := fmt.Sprintf(`{"tagOwners": {"tag:pacs": []}, "segments": {"seg:pacs": {"members": ["tag:pacs"], "owner": "ana@clinic.example", "mode": "monitor", "until": %[1]q}},
 "grants": [{"id": "study", "src": ["tag:pacs"], "dst": ["tag:pacs"], "ip": ["tcp:443"], "monitor": true, "until": %[1]q}]}`, year.Format(time.DateOnly))
	if _, err := r.root.SetPolicy(t.Context(), connect.NewRequest(&admin.SetPolicyRequest{Text: text})); err != nil {
		t.Fatal(err)
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(r.config.StateDir, "keys", "root.key")); err != nil {
		t.Fatal(err)
	}
	at.forward(360 * 24 * time.Hour)
	serve(t, r.config)
	hears("that signs maps", "for browsers (", "monitoring of segment seg:pacs", "monitoring of rule study")
}
