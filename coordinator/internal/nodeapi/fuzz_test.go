package nodeapi_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/cordonmesh/cordon/coordinator/internal/nodeapi"
	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/coordinator/wire/key"
)

// FuzzReport reads a report as a node sends it. Nobody's probes may be sent
// where no peer can be, nor to more places than the bound.
func FuzzReport(f *testing.F) {
	seen := netip.MustParseAddr("192.0.2.7")
	f.Fuzz(func(t *testing.T, b []byte) {
		m := new(wire.ReportRequest)
		if len(b) > nodeapi.MaxRequest || proto.Unmarshal(b, m) != nil {
			return
		}
		endpoints, err := nodeapi.EndpointsOf(m, seen)
		if err != nil && endpoints != nil || len(endpoints) > nodeapi.MaxEndpoints+1 {
			t.Fatalf("%d endpoints with error %v", len(endpoints), err)
		}
		for _, e := range endpoints {
			a := e.Addr()
			if !e.IsValid() || e.Port() == 0 || a.Is4In6() || a.Zone() != "" || a.IsUnspecified() || a.IsMulticast() || a.String() == "255.255.255.255" {
				t.Fatalf("endpoint %s", e)
			}
		}
		prefixes, err := nodeapi.Prefixes(m.Advertised)
		if err == nil && len(prefixes) != len(m.Advertised) || err != nil && prefixes != nil {
			t.Fatalf("%d prefixes of %d, %v", len(prefixes), len(m.Advertised), err)
		}
		for _, p := range prefixes {
			if !p.IsValid() || p.Addr().Zone() != "" {
				t.Fatalf("prefix %s", p)
			}
		}
	})
}

// FuzzSurrender reads revocations as a node sends them. Whatever comes, no key
// is revoked but the one that the mesh revoked.
func FuzzSurrender(f *testing.F) {
	root, signed, revoked := surrendered(f)
	b, err := proto.Marshal(signed)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		m := new(wire.SurrenderRequest)
		if len(b) > nodeapi.MaxRequest || proto.Unmarshal(b, m) != nil {
			return
		}
		got, err := nodeapi.Revocations(root, m)
		if err != nil && got != nil || len(got) > len(m.Revocations) {
			t.Fatalf("%d revocations out of %d, %v", len(got), len(m.Revocations), err)
		}
		for _, r := range got {
			if r.Key != revoked || r.Node != wire.NodeID(revoked) {
				t.Fatalf("%+v was revoked by nobody", r)
			}
		}
	})
}

// surrendered gives an honest request with one revocation. Keys are always the
// same, so that what is in the corpus stays signed.
func surrendered(t testing.TB) (key.RootPublic, *wire.SurrenderRequest, key.NodePublic) {
	t.Helper()
	root, err1 := key.ParseRootPrivate("private-root:" + strings.Repeat("1", 64))
	mapKey, err2 := key.ParseMapPrivate("private-map:" + strings.Repeat("2", 64))
	node, err3 := key.ParseNodePrivate("private-node:" + strings.Repeat("3", 64))
	if err1 != nil || err2 != nil || err3 != nil {
		t.Fatal(err1, err2, err3)
	}
	noon := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	at := wire.Position{Incarnation: 1, Epoch: 2, Revision: 7}
	payload, err := wire.Encode(wire.NewRevocation(wire.MeshIDOf(root.Public()), at, node.Public(), noon))
	if err != nil {
		t.Fatal(err)
	}
	certificate := wire.SignMapKey(&root, wire.MapKey{Key: mapKey.Public(), NotBefore: noon.Add(-time.Hour), NotAfter: noon, Replica: "one"})
	return root.Public(), &wire.SurrenderRequest{
		Revocations: []*wire.Signed{wire.Sign(&mapKey, payload)}, MapKeys: []*wire.MapKeyCertificate{certificate},
	}, node.Public()
}

func TestSurrenderGivesTheRevocation(t *testing.T) {
	root, m, revoked := surrendered(t)
	got, err := nodeapi.Revocations(root, m)
	if err != nil || len(got) != 1 || got[0].Key != revoked || got[0].Epoch != 2 {
		t.Fatalf("got %+v, %v", got, err)
	}
}
