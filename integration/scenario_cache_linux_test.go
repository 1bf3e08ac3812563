package integration

import (
	"bytes"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/integration/lab"
	"github.com/cordonmesh/cordon/node/local"
)

// F11, F12: nodes that start, live and end while there is no coordinator permit
// and refuse as their map on disk says.
func TestNodesLiveWithoutTheirCoordinator_F11_F12(t *testing.T) {
	s := raise(t, clinic, member{name: "ward", owner: "nina@hospital.example"}, member{name: "ehr", owner: "tag:ehr"})
	if s == nil {
		return
	}
	s.serve("ehr", 443, 5000, 22)
	at := s.at("ehr", 0)
	s.served("ward", "tcp", netip.AddrPortFrom(at[0].Addr(), 443)) // where ehr is, ward knows since
	s.coordinator.Process.Kill()
	for range 2 {
		for _, d := range s.nodes {
			d.Process.Kill()
		}
		for _, d := range s.nodes {
			began := time.Now()
			d.Start()
			d.Wait("enforces the map on disk", func(st *local.Status) bool {
				return st.State == local.StateRunning && st.Map.FromDisk && !st.Coordinator.Connected
			})
			t.Logf("%s runs %s after its start", d.Name, time.Since(began).Round(time.Millisecond))
		}
		for _, to := range at {
			s.served("ward", "tcp", netip.AddrPortFrom(to.Addr(), 443))
			s.served("ward", "udp", netip.AddrPortFrom(to.Addr(), 5000))
			s.refused("ward", "tcp", netip.AddrPortFrom(to.Addr(), 22), syscall.ECONNREFUSED)
			s.answered("ward", to.Addr())
		}
		s.refused("ehr", "tcp", s.at("ward", 443)[0], syscall.ECONNREFUSED)
	}
	if out, err := s.nodes["ward"].TryCLI("", "status"); err != nil || !strings.Contains(out, "from disk") || !strings.Contains(out, "away") {
		t.Errorf("cordon status says %q (%v), want that the map is from disk and the coordinator away", out, err)
	}
	s.coordinator.Start()
	s.nodes["ward"].Wait("has its map confirmed", func(st *local.Status) bool { return st.Coordinator.Connected && !st.Map.FromDisk })
}

// snapshot reads the regular files of a state directory.
func snapshot(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		out[strings.TrimPrefix(path, dir)] = text
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// putBack makes a state directory hold a snapshot and nothing else.
func putBack(t *testing.T, dir string, files map[string][]byte) {
	t.Helper()
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// foreign gives the map of a node of another mesh, as it would lie on disk.
func (s *scene) foreign(t *testing.T, on string) []byte {
	t.Helper()
	h := s.Host(on)
	other := s.programs.StartCoordinator(h, netip.AddrPortFrom(h.Addr4(), 8443))
	defer other.Process.Kill()
	e, err := wire.ParseEnrolment(other.Token("nina@hospital.example"))
	if err != nil {
		t.Fatal(err)
	}
	n := simulate(t, h, e)
	if _, err := n.enrol(t.Context(), e.Secret, "ward"); err != nil {
		t.Fatal(err)
	}
	stream, err := n.Follow(t.Context(), connect.NewRequest(&wire.FollowRequest{Level: wire.Level, Instance: make([]byte, 16)}))
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	for stream.Receive() {
		if signed := stream.Msg().GetSigned(); signed != nil {
			log, err := wire.EncodeLog([]*wire.Signed{signed})
			if err != nil {
				t.Fatal(err)
			}
			return log
		}
	}
	t.Fatalf("the other mesh sends no map: %v", stream.Err())
	return nil
}

// A map on disk that is not whole, not this node's, or of the past is not
// obeyed: everything is denied, and the status says why.
func TestDamagedMapIsDeniedAndToldOf_F12_A60(t *testing.T) {
	wide := strings.Replace(clinic, `"tcp:443"`, `"tcp:443", "tcp:22"`, 1)
	s := raise(t, wide, member{name: "ward", owner: "nina@hospital.example"}, member{name: "ehr", owner: "tag:ehr"}, member{name: "pacs", owner: "tag:ehr"})
	if s == nil {
		return
	}
	s.serve("ehr", 443)
	to := s.at("ehr", 443)[0]
	ward := s.nodes["ward"]
	s.served("ward", "tcp", to)
	read := func(name string) []byte { return snapshot(t, ward.State)[name] }

	beforeRevocation := read("/map.log")
	s.coordinator.Ctl("node", "remove", "pacs")
	s.nodes["pacs"].Process.Kill()
	delete(s.nodes, "pacs")
	s.settle()
	beforeNarrowing, stampBefore := read("/map.log"), read("/stamp.json")
	s.setPolicy(clinic)
	others := snapshot(t, s.nodes["ehr"].State)["/map.log"]
	otherMesh := s.foreign(t, "pacs")
	s.coordinator.Process.Kill()
	ward.Process.Kill()
	pristine := snapshot(t, ward.State)
	log := pristine["/map.log"]
	if len(stampBefore) == 0 || bytes.Equal(log, beforeNarrowing) || !bytes.HasPrefix(log, beforeNarrowing) {
		t.Fatal("the map's file did not grow by a change: the cases below would prove nothing")
	}
	flipped := bytes.Clone(log)
	flipped[len(log)/3] ^= 4

	try := func(name string, damage map[string][]byte, obeyed bool) {
		t.Run(name, func(t *testing.T) {
			files := map[string][]byte{}
			for path, text := range pristine {
				files[path] = text
			}
			for path, text := range damage {
				files[path] = text
				if text == nil {
					delete(files, path)
				}
			}
			putBack(t, ward.State, files)
			ward.Start()
			defer ward.Process.Kill()
			if obeyed {
				s.served("ward", "tcp", to)
				return
			}
			s.denies(t, ward, to, len(files) == len(pristine))
		})
	}
	try("as it was", nil, true)
	try("with a bit flipped", map[string][]byte{"/map.log": flipped}, false)
	try("cut in its first record", map[string][]byte{"/map.log": log[:len(beforeRevocation)/3]}, false)
	try("empty", map[string][]byte{"/map.log": {}}, false)
	try("a text", map[string][]byte{"/map.log": []byte("dear diary\n")}, false)
	try("another node's", map[string][]byte{"/map.log": others}, false)
	try("another mesh's", map[string][]byte{"/map.log": otherMesh}, false)
	try("of before a revocation", map[string][]byte{"/map.log": beforeRevocation}, false)
	try("of before a narrowing", map[string][]byte{"/map.log": beforeNarrowing}, false)
	try("with a damaged stamp", map[string][]byte{"/stamp.json": []byte("{")}, false)
	try("with damaged revocations", map[string][]byte{"/revocations.log": []byte("none, honestly")}, false)
	try("missing", map[string][]byte{"/map.log": nil}, false)
	// A crash while the last record was written: nobody had relied on it yet.
	half := log[:len(beforeNarrowing)+(len(log)-len(beforeNarrowing))/2]
	try("torn in its last record", map[string][]byte{"/map.log": half, "/stamp.json": stampBefore}, true)

	t.Run("and mended by the coordinator", func(t *testing.T) {
		putBack(t, ward.State, pristine)
		if err := os.WriteFile(filepath.Join(ward.State, "map.log"), flipped, 0o600); err != nil {
			t.Fatal(err)
		}
		ward.Start()
		s.coordinator.Start()
		s.settle()
		s.served("ward", "tcp", to)
		if st, err := ward.Status(); err != nil || len(st.Warnings) > 0 {
			t.Errorf("the status warns still: %v (%v)", st, err)
		}
	})
}

// denies: a daemon without a map that it can obey, and why, if something is wrong.
func (s *scene) denies(t *testing.T, d *lab.Daemon, to netip.AddrPort, wrong bool) {
	t.Helper()
	s.unanswered(d.Name, "tcp", to)
	st, err := d.Status()
	if err != nil {
		t.Fatal(err)
	}
	if st.State == local.StateRunning || len(st.Peers) > 0 {
		t.Errorf("the daemon is %s with %d peers", st.State, len(st.Peers))
	}
	if !wrong {
		return
	}
	if out, err := d.TryCLI("", "status"); err != nil || !strings.Contains(out, "warning: the map on disk was refused") {
		t.Errorf("cordon status says %q (%v), want why the map is refused", out, err)
	}
}

// A node that refuses its map does not know who is in the mesh, but it knows
// what is the mesh: that does not leave by the default route, and whoever sends
// it is told at once.
func TestRefusedMapLeaksNothing_A34(t *testing.T) {
	s := raiseOn(t, office(), clinic, member{name: "ward", owner: "nina@hospital.example"}, member{name: "ehr", owner: "tag:ehr"})
	if s == nil {
		return
	}
	at, ward := s.at("ehr", 443), s.nodes["ward"]
	s.coordinator.Process.Kill()
	if err := ward.Process.Stop(patience); err != nil {
		t.Error(err)
	}
	if err := os.WriteFile(filepath.Join(ward.State, "map.log"), []byte("dear diary"), 0o600); err != nil {
		t.Fatal(err)
	}
	ward.Start()
	ward.Wait("refuses its map", func(st *local.Status) bool { return len(st.Warnings) > 0 })
	lab.Eventually(t, patience, "the kernel knows the mesh's ranges", func() (bool, string) {
		out, err := s.Host("ward").Run(t.Context(), "ip", "route", "get", at[1].Addr().String())
		return err != nil, out
	})
	leaked := s.Host("ward").Capture("eth0", lab.Touching(netip.PrefixFrom(at[0].Addr(), 10).Masked(), netip.PrefixFrom(at[1].Addr(), 48).Masked()))
	for _, to := range at {
		s.refused("ward", "tcp", to, syscall.EHOSTUNREACH, syscall.ENETUNREACH)
		s.refused("ward", "udp", to, syscall.EHOSTUNREACH, syscall.ENETUNREACH)
	}
	if packets, err := leaked.Stop(); err != nil || len(packets) > 0 {
		t.Errorf("%d packets for the mesh left in clear (%v)", len(packets), err)
	}
}
