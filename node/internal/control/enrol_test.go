package control_test

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/coordinator/wire/key"
	"github.com/cordonmesh/cordon/node/internal/control"
	"github.com/cordonmesh/cordon/node/internal/control/controltest"
)

func fresh(t *testing.T) (*control.Dir, *control.Keys) {
	t.Helper()
	d, err := control.OpenDir(filepath.Join(t.TempDir(), "state"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	k, err := d.Keys()
	if err != nil {
		t.Fatal(err)
	}
	return d, k
}

func TestEnrols(t *testing.T) {
	c := controltest.OnLoopback(t)
	d, k := fresh(t)
	e, err := wire.ParseEnrolment(c.Enrolment())
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // the answer may have been lost: the same key asks again
		id, err := control.Enrol(t.Context(), d, k, e, "ward", "test", nil)
		if err != nil {
			t.Fatal(err)
		}
		if id.Node != wire.NodeID(k.Node.Public()) || id.Mesh() != c.Mesh.ID() || id.URL != c.URL || len(id.Chain) != 2 {
			t.Fatalf("%+v", id)
		}
		if trust, err := id.Trust(); err != nil || len(trust.Certificates()) != 1 {
			t.Fatal(err)
		}
	}
	who, _ := c.Enrolled("ward")
	stated, err := wire.VerifyStatement(who.Key, who.Statement)
	if err != nil || stated.Tunnel != k.Tunnel.Public() || stated.Path != k.Path.Public() {
		t.Fatal("it states other keys than it has:", err)
	}
	if kept, err := d.Identity(); err != nil || kept == nil || kept.Node != wire.NodeID(k.Node.Public()) {
		t.Fatal(kept, err)
	}
}

// Whoever answers at the coordinator's address without its root learns nothing
// and gives nothing.
func TestEnrolmentIsPinned(t *testing.T) {
	c := controltest.OnLoopback(t)
	other := key.NewRoot()
	for name, tt := range map[string]struct {
		change func(*wire.Enrolment)
		before func()
		want   string
	}{
		"another mesh root": {func(e *wire.Enrolment) { e.Fingerprint = other.Public().Fingerprint() }, nil, "pinned"},
		"a spent token":     {func(e *wire.Enrolment) { e.Secret = strings.Repeat("z", 32) }, nil, "spent"},
		"nobody there":      {func(e *wire.Enrolment) { e.URL = "https://127.0.0.1:1" }, nil, "refused"},
		"a certificate for another key": {func(*wire.Enrolment) {}, func() {
			stranger := key.NewNode()
			c.Certify(func(key.NodePublic) [][]byte { return c.Mesh.NodeChain(stranger.Public()) })
		}, "another key"},
	} {
		d, k := fresh(t)
		e, err := wire.ParseEnrolment(c.Enrolment())
		if err != nil {
			t.Fatal(err)
		}
		tt.change(&e)
		c.Certify(c.Mesh.NodeChain)
		if tt.before != nil {
			tt.before()
		}
		_, err = control.Enrol(t.Context(), d, k, e, "ward", "test", nil)
		if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), e.URL) {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil && strings.Contains(err.Error(), e.Secret) {
			t.Errorf("%s: the error holds the secret", name)
		}
		if id, err := d.Identity(); id != nil || err != nil {
			t.Errorf("%s: an identity was kept: %v", name, err)
		}
	}
	d, k := fresh(t)
	e, _ := wire.ParseEnrolment(c.Enrolment())
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := control.Enrol(ended, d, k, e, "ward", "test", nil); err == nil {
		t.Error("cancelled, and enrolled")
	}
}

// A statement is made once for its keys: a new one with a clock that went back
// would be older than what peers hold.
func TestStatementIsKeptForItsKeys(t *testing.T) {
	d, k := fresh(t)
	one, err := d.Statement(k)
	if err != nil {
		t.Fatal(err)
	}
	two, err := d.Statement(k)
	if err != nil || string(one.Payload) != string(two.Payload) {
		t.Fatal("another statement of the same keys", err)
	}
	k.Tunnel = key.NewTunnel()
	three, err := d.Statement(k)
	if err != nil {
		t.Fatal(err)
	}
	if stated, err := wire.VerifyStatement(k.Node.Public(), three); err != nil || stated.Tunnel != k.Tunnel.Public() {
		t.Fatal("the new tunnel key is not stated:", err)
	}
}
