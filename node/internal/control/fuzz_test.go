package control_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/node/internal/control"
	"github.com/cordonmesh/cordon/node/internal/control/controltest"
)

// fuzzed is a node's directory in which one file is foreign.
type fuzzed struct {
	dir  *control.Dir
	path string
	id   *control.Identity
	log  []byte // a good map.log
	m    wire.Map
}

func newFuzzed(f *testing.F) *fuzzed {
	f.Helper()
	path := filepath.Join(f.TempDir(), "state")
	d, err := control.OpenDir(path)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { d.Close() })
	k, err := d.Keys()
	if err != nil {
		f.Fatal(err)
	}
	mesh := controltest.NewMesh(f)
	cert, err := proto.Marshal(mesh.MapKeyCertificate())
	if err != nil {
		f.Fatal(err)
	}
	public := k.Node.Public()
	m := controltest.Map(controltest.At(1, 1, 5), controltest.Self(public, "self", "100.64.0.1"), []uint16{443})
	log, err := wire.EncodeLog([]*wire.Signed{mesh.Sign(wire.NewFull(mesh.To(public), m))})
	if err != nil {
		f.Fatal(err)
	}
	return &fuzzed{d, path, &control.Identity{URL: "https://c.example", Root: mesh.Root.Public(), Node: wire.NodeID(public), MapKeys: [][]byte{cert}}, log, m}
}

func (z *fuzzed) put(t testing.TB, name string, b []byte) {
	if err := os.WriteFile(filepath.Join(z.path, name), b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// Whatever stands in map.log, there is the one map that was signed or none.
func FuzzStoredMap(f *testing.F) {
	z := newFuzzed(f)
	f.Add(z.log)
	f.Add(z.log[:len(z.log)-3])
	f.Add(append(append([]byte{}, z.log...), z.log[8:]...))
	f.Add(wire.NewLog())
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		z.put(t, "map.log", b)
		s, err := z.dir.Load(z.id)
		if !s.Map.IsZero() && (err != nil || s.Map.Digest() != z.m.Digest() || s.Map.Position() != z.m.Position()) {
			t.Fatal("a map that nobody signed was loaded", err)
		}
		if s.Map.IsZero() && err == nil {
			t.Fatal("no map, and no reason")
		}
	})
}

func FuzzIdentity(f *testing.F) {
	z := newFuzzed(f)
	good, err := json.Marshal(z.id)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte(`{"url": "https://x", "node": "n-1", "root": "root:00"}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, b []byte) {
		z.put(t, "identity.json", b)
		id, err := z.dir.Identity()
		if (id == nil) == (err == nil) {
			t.Fatal("neither an identity nor a reason, or both:", id, err)
		}
		if id == nil {
			return
		}
		if id.Root.IsZero() || id.Node == "" || id.URL == "" {
			t.Fatalf("half an identity: %+v", id)
		}
		z.put(t, "map.log", z.log)
		if s, err := z.dir.Load(id); err == nil && s.Map.Digest() != z.m.Digest() {
			t.Fatal("another map")
		}
	})
}

func FuzzStampAndHints(f *testing.F) {
	z := newFuzzed(f)
	f.Add([]byte(`{"incarnation": 1, "epoch": 2, "revision": 3, "lease": "2026-11-23T12:00:00Z"}`))
	f.Add([]byte(`{"n-1": {"endpoints": ["192.0.2.1:7"], "relay": "ward"}}`))
	f.Add([]byte(`51820`))
	f.Fuzz(func(t *testing.T, b []byte) {
		z.put(t, "stamp.json", b)
		z.put(t, "hints.json", b)
		z.put(t, "port.json", b)
		z.put(t, "relays", b)
		z.put(t, "map.log", z.log)
		stamp, stampErr := z.dir.Stamp()
		s, err := z.dir.Load(z.id)
		if (stampErr != nil || z.m.Position().Compare(stamp.Position()) < 0 && s.Map.Position().Compare(stamp.Position()) < 0) && err == nil {
			t.Fatal("a map below its floor, or without one:", stamp, stampErr)
		}
		if z.dir.Hints() == nil {
			t.Fatal("hints must be usable")
		}
		z.dir.Port()
		z.dir.Relays()
	})
}
