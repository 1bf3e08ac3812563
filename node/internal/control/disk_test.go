package control_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/node/internal/control"
	"github.com/cordonmesh/cordon/node/internal/control/controltest"
)

// stored leaves a node whose disk holds a map of three revisions, with a lease.
func stored(t *testing.T) (r *rig, ehr, pacs wire.PeerRecord) {
	r = newRig(t).begin()
	ehr, _ = controltest.Stranger("ehr", "100.64.0.2")
	pacs, _ = controltest.Stranger("pacs", "100.64.0.3")
	one, two, three := r.at(controltest.At(1, 1, 5)), r.at(controltest.At(1, 1, 6), ehr), r.at(controltest.At(1, 1, 7), ehr, pacs)
	s := r.c.Next()
	r.send(s, r.full(one), r.delta(one, two), r.delta(two, three), r.lease(three.Position(), time.Now()))
	r.holds(three.Position(), "ehr", "pacs")
	return r, ehr, pacs
}

func TestStartsFromDisk(t *testing.T) {
	virtual(t, func(t *testing.T) {
		r, _, _ := stored(t)
		r.c.Cut(true)
		r.reboot()
		if r.loadErr != nil || r.start.Map.Revision != 7 || len(r.start.Map.Peers) != 2 {
			t.Fatal(r.start.Map.Position(), r.loadErr)
		}
		if stamp, err := r.dir.Stamp(); err != nil || stamp.Lease.IsZero() || stamp.Revision != 7 {
			t.Fatal(stamp, err)
		}
	})
}

// What a crash may leave is mended, and what only a hand can do is refused: then
// there is no map, and the coordinator is asked for all.
func TestDamagedMapsAreRefused(t *testing.T) {
	tests := map[string]struct {
		do   func(r *rig)
		want string // in the error; empty: the map loads
	}{
		"last record torn": {func(r *rig) {
			log := r.readFile("map.log")
			r.writeFile("map.log", append(log, log[8:40]...))
		}, ""},
		"zeros behind":    {func(r *rig) { r.writeFile("map.log", append(r.readFile("map.log"), make([]byte, 300)...)) }, ""},
		"one bit turned":  {func(r *rig) { b := r.readFile("map.log"); b[200] ^= 1; r.writeFile("map.log", b) }, "not usable"},
		"cut short":       {func(r *rig) { b := r.readFile("map.log"); r.writeFile("map.log", b[:len(b)-5]) }, "older"},
		"empty":           {func(r *rig) { r.writeFile("map.log", nil) }, "not usable"},
		"not a log":       {func(r *rig) { r.writeFile("map.log", []byte("{}")) }, "not usable"},
		"of another node": {func(r *rig) { r.writeFile("map.log", foreign(r)) }, "another recipient"},
		"an older one": {func(r *rig) {
			log, err := wire.EncodeLog([]*wire.Signed{r.full(r.at(controltest.At(1, 1, 5))).GetSigned()})
			if err != nil {
				r.t.Fatal(err)
			}
			r.writeFile("map.log", log)
		}, "older"},
		"of an older incarnation": {func(r *rig) {
			r.writeFile("stamp.json", []byte(`{"incarnation": 2, "epoch": 1, "revision": 1}`))
		}, "older"},
		"stamp damaged":          {func(r *rig) { r.writeFile("stamp.json", []byte(`{"revision": `)) }, "stamp.json is damaged"},
		"revocations damaged":    {func(r *rig) { r.writeFile("revocations.log", []byte("garbage")) }, "revocations.log"},
		"without its map keys":   {func(r *rig) { editIdentity(r, func(id *control.Identity) { id.MapKeys = nil }) }, "not trusted"},
		"with a foreign map key": {func(r *rig) { editIdentity(r, func(id *control.Identity) { id.MapKeys = [][]byte{[]byte("x")} }) }, "identity"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			virtual(t, func(t *testing.T) {
				r, ehr, _ := stored(t)
				r.close()
				tt.do(r)
				r.open()
				id, err := r.dir.Identity()
				if err != nil {
					t.Fatal(err)
				}
				state, err := r.dir.Load(id)
				if tt.want == "" {
					if err != nil || state.Map.Revision != 7 {
						t.Fatal(state.Map.Position(), err)
					}
					return
				}
				if err == nil || !strings.Contains(err.Error(), tt.want) {
					t.Fatal("want", tt.want, "got", err)
				}
				if !state.Map.IsZero() {
					t.Fatal("a map was given with the error")
				}
				if name == "with a foreign map key" {
					return // nothing can be verified: NewFollower says so
				}
				s := r.begin().c.Next()
				if q := s.Request; q.Revision != 0 || len(q.Digest) != 0 {
					t.Fatalf("it asks with %v", q)
				}
				next := r.at(controltest.At(2, 1, 8), ehr)
				r.send(s, controltest.Keys(r.c.Mesh.MapKeyCertificate()), r.full(next))
				r.holds(next.Position(), "ehr")
				r.c.Cut(true)
				if r.reboot(); name != "revocations damaged" && (r.loadErr != nil || r.start.Map.Revision != 8) {
					t.Fatal("a new Full did not mend it:", r.loadErr)
				}
			})
		})
	}
}

// foreign is a log that was signed for somebody else.
func foreign(r *rig) []byte {
	_, other := controltest.Stranger("other", "100.64.0.9")
	m := controltest.Map(controltest.At(1, 1, 9), controltest.Self(other.Public(), "other", "100.64.0.9"), nil)
	log, err := wire.EncodeLog([]*wire.Signed{r.c.Mesh.Sign(wire.NewFull(r.c.Mesh.To(other.Public()), m))})
	if err != nil {
		r.t.Fatal(err)
	}
	return log
}

func editIdentity(r *rig, change func(*control.Identity)) {
	var id control.Identity
	if err := json.Unmarshal(r.readFile("identity.json"), &id); err != nil {
		r.t.Fatal(err)
	}
	change(&id)
	b, err := json.Marshal(id)
	if err != nil {
		r.t.Fatal(err)
	}
	r.writeFile("identity.json", b)
}

// The stamp outlives the map's file: whoever removes or spoils that cannot bring
// an old map back over the wire either.
func TestStampHoldsWithoutAMap(t *testing.T) {
	virtual(t, func(t *testing.T) {
		r, ehr, _ := stored(t)
		r.close()
		if err := os.Remove(r.file("map.log")); err != nil {
			t.Fatal(err)
		}
		r.open()
		s := r.begin().c.Next()
		if q := s.Request; q.Incarnation != 1 || q.Epoch != 1 || q.Revision != 0 {
			t.Fatalf("it asks with %v", q)
		}
		r.send(s, r.full(r.at(controltest.At(1, 1, 6), ehr)))
		if len(r.maps) != 0 || len(r.inTrouble()) != 1 {
			t.Fatal("an older map was taken, or nobody is told:", r.trouble)
		}
		r.send(s, r.full(r.at(controltest.At(1, 1, 7), ehr)))
		r.holds(controltest.At(1, 1, 7), "ehr")
	})
}

// A disk that takes nothing keeps no right from changing. When it takes again,
// the map on it is made whole without waiting for the next reconnection.
func TestFullDiskStopsNothing(t *testing.T) {
	virtual(t, func(t *testing.T) {
		r, ehr, pacs := stored(t)
		r.c.Cut(false) // a session of this test's own
		s := nextWithin(t, r, time.Minute)
		aside := r.path + ".aside"
		if err := os.Rename(r.path, aside); err != nil {
			t.Fatal(err)
		}
		three, four := r.at(controltest.At(1, 1, 7), ehr, pacs), r.at(controltest.At(1, 1, 8), pacs)
		s.Send(r.delta(three, four))
		s = nextWithin(t, r, time.Minute) // it asks for a Full, in case that can be written
		r.holds(four.Position(), "pacs")
		if got := strings.Join(r.inTrouble(), "; "); !strings.Contains(got, "keeping the map on disk") || !strings.Contains(got, "noting the map's position") {
			t.Fatal("nobody is told:", got)
		}
		if s.Request.Revision != 0 {
			t.Fatal("it asks for a change only")
		}
		five, six := r.at(controltest.At(1, 1, 9), ehr), r.at(controltest.At(1, 1, 10), ehr, pacs)
		r.send(s, r.full(five), r.delta(five, six))
		r.holds(six.Position(), "ehr", "pacs")
		if !alive(s) {
			t.Fatal("it asks for Fulls without end while the disk takes none")
		}
		if err := os.Rename(aside, r.path); err != nil {
			t.Fatal(err)
		}
		for range 35 {
			time.Sleep(20 * time.Second)
			if !s.Send(controltest.Heartbeat()) {
				break
			}
		}
		seven := r.at(controltest.At(1, 1, 11), ehr)
		s.Send(r.delta(six, seven))
		s = nextWithin(t, r, time.Minute)
		r.send(s, r.full(seven))
		if got := r.inTrouble(); len(got) != 0 {
			t.Fatal("still in trouble:", got)
		}
		r.c.Cut(true)
		r.reboot()
		if r.loadErr != nil || r.start.Map.Revision != 11 {
			t.Fatal(r.start.Map.Position(), r.loadErr)
		}
	})
}

func TestDeltasThatOutweighTheFullAreReplaced(t *testing.T) {
	virtual(t, func(t *testing.T) {
		r := newRig(t).begin()
		ehr, _ := controltest.Stranger("ehr", "100.64.0.2")
		s := r.c.Next()
		m := r.at(controltest.At(1, 1, 5), ehr)
		r.send(s, r.full(m))
		for i := 0; alive(s); i++ {
			if i > 1000 {
				t.Fatal("a thousand Deltas, and no new Full was asked for:", len(r.readFile("map.log")))
			}
			next := r.at(controltest.At(1, 1, m.Revision+1), ehr)
			next.Self.Tags = []string{"tag:" + strings.Repeat("x", 1+i%40)}
			next.Self.User = ""
			r.send(s, r.delta(m, next))
			m = next
		}
		contacts := len(r.contacts)
		s = nextWithin(t, r, time.Second)
		if s.Request.Revision != 0 {
			t.Fatal(s.Request)
		}
		before := len(r.readFile("map.log"))
		r.send(s, r.full(m))
		if after := len(r.readFile("map.log")); after > before/10 {
			t.Fatal("the log went from", before, "to", after)
		}
		for _, c := range r.contacts[contacts:] {
			if c != nil {
				t.Fatal("asking for a Full is told as a loss of contact:", c)
			}
		}
	})
}

func TestDirIsGuarded_A42(t *testing.T) {
	base := t.TempDir()
	open := filepath.Join(base, "open")
	if err := os.Mkdir(open, 0o750); err != nil {
		t.Fatal(err)
	}
	if _, err := control.OpenDir(open); err == nil || !strings.Contains(err.Error(), "chmod 700") {
		t.Fatal("a directory that others may read:", err)
	}
	file := filepath.Join(base, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := control.OpenDir(file); err == nil {
		t.Fatal("a file is no directory")
	}
	if os.Geteuid() == 0 {
		other := filepath.Join(base, "other")
		if err := errors.Join(os.Mkdir(other, 0o700), os.Chown(other, 4242, 0)); err != nil {
			t.Fatal(err)
		}
		if _, err := control.OpenDir(other); err == nil || !strings.Contains(err.Error(), "4242") {
			t.Fatal("a directory of another user:", err)
		}
	}
	mine := filepath.Join(base, "mine")
	d, err := control.OpenDir(mine)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := control.OpenDir(mine); !errors.Is(err, control.ErrHeld) {
		t.Fatal("two daemons hold one directory:", err)
	}
	if _, err := d.Keys(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{".map.log-12345", ".drains.json-67", ".bashrc"} {
		if err := os.WriteFile(filepath.Join(mine, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if d, err = control.OpenDir(mine); err != nil {
		t.Fatal("after Close:", err)
	}
	defer d.Close()
	entries, err := os.ReadDir(mine)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		all = append(all, e.Name())
		if info, err := e.Info(); err != nil || info.Mode().Perm() != 0o600 {
			t.Error(e.Name(), "has mode", info.Mode())
		}
	}
	if got := strings.Join(all, " "); strings.Contains(got, "map.log-") || strings.Contains(got, "drains.json-") || !strings.Contains(got, ".bashrc") {
		t.Fatal("swept away what is not ours, or left what is:", got)
	}
}

// Nothing that is damaged is made anew: it would be another node.
func TestDamageIsNeverANewIdentity(t *testing.T) {
	for name, tt := range map[string]struct{ file, content, want string }{
		"node key":            {"node.key", "private-node:zz\n", "does not hold a key"},
		"node key of nothing": {"node.key", "", "does not hold a key"},
		"tunnel key":          {"tunnel.key", "x", "does not hold a key"},
		"path key":            {"path.key", "private-node:00\n", "does not hold a key"},
		"identity":            {"identity.json", `{"url": "https://`, "damaged"},
		"identity of nothing": {"identity.json", ``, "damaged"},
		"identity half":       {"identity.json", `{"url": "https://x"}`, "incomplete"},
	} {
		t.Run(name, func(t *testing.T) {
			virtual(t, func(t *testing.T) {
				r := newRig(t)
				r.writeFile(tt.file, []byte(tt.content))
				_, err := r.dir.Keys()
				if err == nil {
					_, err = r.dir.Identity()
				}
				if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), tt.file) || !strings.Contains(err.Error(), "enrol again") {
					t.Fatal(err)
				}
				if got := string(r.readFile(tt.file)); got != tt.content {
					t.Fatalf("it was replaced by %q", got)
				}
				if content := tt.content; content != "" && content != "x" && strings.Contains(err.Error(), strings.TrimSpace(content)) {
					t.Fatal("the error repeats what may be a key:", err)
				}
			})
		})
	}
	virtual(t, func(t *testing.T) {
		r := newRig(t)
		if err := os.Remove(r.file("node.key")); err != nil {
			t.Fatal(err)
		}
		if _, err := r.dir.Keys(); err == nil || !strings.Contains(err.Error(), "enrol again") {
			t.Fatal("an enrolled node lost its key and made another:", err)
		}
		if _, err := os.Stat(r.file("node.key")); err == nil {
			t.Fatal("a key was made")
		}
	})
}

func TestIdentityFileHoldsNoSecret(t *testing.T) {
	virtual(t, func(t *testing.T) {
		r, _, _ := stored(t)
		for _, name := range []string{"identity.json", "stamp.json", "hints.json", "map.log", "statement"} {
			b, err := os.ReadFile(r.file(name))
			if err != nil && name != "hints.json" {
				t.Error(err)
			}
			for what, secret := range map[string]string{
				"node key": r.keys.Node.Secret(), "tunnel key": r.keys.Tunnel.Secret(), "path key": r.keys.Path.Secret(), "token": r.c.Secret,
			} {
				_, digits, _ := strings.Cut(secret, ":")
				if bytes.Contains(b, []byte(secret)) || digits != "" && bytes.Contains(b, []byte(digits)) {
					t.Errorf("%s holds the %s", name, what)
				}
			}
		}
	})
}

// The daemon and the follower both write the identity; neither undoes the other.
func TestIdentityHasTwoWriters(t *testing.T) {
	virtual(t, func(t *testing.T) {
		r := newRig(t)
		before, err := r.dir.UpdateIdentity(func(id *control.Identity) { id.Stopped = true })
		if err != nil || !before.Stopped || len(before.MapKeys) != 1 {
			t.Fatal(before, err)
		}
		after, err := r.dir.UpdateIdentity(func(id *control.Identity) { id.MapKeys = nil })
		if err != nil || !after.Stopped || len(after.Chain) != 2 {
			t.Fatal(after, err)
		}
		if err := os.Remove(r.file("identity.json")); err != nil {
			t.Fatal(err)
		}
		if _, err := r.dir.UpdateIdentity(func(*control.Identity) {}); err == nil {
			t.Fatal("an identity that is gone was changed")
		}
	})
}

func TestPortAndHintsAreOnlyHelp(t *testing.T) {
	virtual(t, func(t *testing.T) {
		r := newRig(t)
		for _, bad := range []string{"", "null", "[]", `"x"`, "70000", `{"a": "b"}`, "{"} {
			r.writeFile("hints.json", []byte(bad))
			r.writeFile("port.json", []byte(bad))
			if h := r.dir.Hints(); h == nil || len(h) != 0 {
				t.Errorf("%q gives hints %v", bad, h)
			}
			if p := r.dir.Port(); p != 0 {
				t.Errorf("%q gives port %d", bad, p)
			}
		}
		if err := r.dir.SavePort(51820); err != nil || r.dir.Port() != 51820 {
			t.Fatal(err, r.dir.Port())
		}
	})
}

// After a write that failed, nothing is added to the file until a Full begins it
// anew: what stands behind a gap, or behind half a record, would cost the rest.
func TestNothingIsAddedBehindAFailedWrite(t *testing.T) {
	virtual(t, func(t *testing.T) {
		r, ehr, pacs := stored(t)
		r.c.Cut(false)
		s := nextWithin(t, r, time.Minute)
		before := r.readFile("map.log")
		if err := os.Rename(r.file("map.log"), r.file("aside")); err != nil {
			t.Fatal(err)
		}
		three, four, five := r.at(controltest.At(1, 1, 7), ehr, pacs), r.at(controltest.At(1, 1, 8), pacs), r.at(controltest.At(1, 1, 9), ehr)
		s.Send(r.delta(three, four))
		s = nextWithin(t, r, time.Minute)
		if err := os.Rename(r.file("aside"), r.file("map.log")); err != nil {
			t.Fatal(err)
		}
		r.send(s, r.delta(four, five))
		r.holds(five.Position(), "ehr")
		if !bytes.Equal(r.readFile("map.log"), before) {
			t.Fatal("a Delta was added behind a gap")
		}
	})
}
