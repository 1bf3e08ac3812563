package integration

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/encoding/prototext"

	"github.com/cordonmesh/cordon/coordinator/admin"
	"github.com/cordonmesh/cordon/integration/lab"
)

// damage is what can happen to a file of the coordinator's state.
type damage struct {
	name, file string
	do         func(path string, good []byte) error
	says       []string // beside the file's name
}

// damages is what the coordinator must notice whatever else is on the machine.
func damages() []damage {
	write := func(text string) func(string, []byte) error {
		return func(path string, _ []byte) error { return os.WriteFile(path, []byte(text), 0o600) }
	}
	part := func(of func(n int) int) func(string, []byte) error {
		return func(path string, good []byte) error { return os.WriteFile(path, good[:of(len(good))], 0o600) }
	}
	missing := func(path string, _ []byte) error { return os.RemoveAll(path) }
	foreign := "SQLite format 3\x00" + strings.Repeat("another program's pages ", 400)
	restore := []string{"cordon-coordinator restore"}
	return []damage{
		{"missing", "cordon.db", missing, restore},
		{"of no length", "cordon.db", write(""), restore},
		{"cut in half", "cordon.db", part(func(n int) int { return n / 2 }), restore},
		{"cut by a page", "cordon.db", part(func(n int) int { return n - 4096 }), restore},
		{"another program's", "cordon.db", write(foreign), restore},
		{"a text", "cordon.db", write("dear diary\n"), restore},
		{"a folder", "cordon.db", func(path string, _ []byte) error {
			os.Remove(path)
			return os.Mkdir(path, 0o700)
		}, restore},
		{"a bit of the policy", "cordon.db", flipIn("records-of-the-ward"), restore},
		{"a bit of a name", "cordon.db", flipIn("ward"), restore},
		{"open to others", "cordon.db", func(path string, _ []byte) error { return os.Chmod(path, 0o644) }, []string{"chmod"}},
		{"keys missing", "keys", missing, restore},
		{"map key cut", "keys/map.key", part(func(n int) int { return n / 2 }), restore},
		{"authority's key missing", "keys/ca.pem", missing, restore},
		{"settings missing", "coordinator.json", missing, []string{"restore"}},
		{"settings cut", "coordinator.json", part(func(n int) int { return n / 2 }), []string{"damaged"}},
	}
}

// flipIn flips a bit inside each place where the word stands.
func flipIn(word string) func(string, []byte) error {
	return func(path string, good []byte) error {
		bad, at := bytes.Clone(good), 0
		for n := 0; ; n++ {
			i := bytes.Index(bad[at:], []byte(word))
			if i < 0 && n == 0 {
				return fmt.Errorf("%q does not stand in %s", word, path)
			}
			if i < 0 {
				return os.WriteFile(path, bad, 0o600)
			}
			bad[at+i] ^= 1
			at += i + len(word)
		}
	}
}

// damaged is a mesh with a node, a revoked one, tokens and a policy, whose
// coordinator rests.
type damaged struct {
	*scene
	good map[string]string // the state's files, by path below its folder
	was  string            // what it said of itself
}

func raiseDamaged(t *testing.T) *damaged {
	t.Helper()
	s := raise(t, strings.Replace(clinic, `"records"`, `"records-of-the-ward"`, 1), member{name: "ward", owner: "nina@hospital.example"}, member{name: "ehr", owner: "tag:ehr"})
	if s == nil {
		return nil
	}
	s.coordinator.Token("tag:lab", "--uses", "3")
	s.coordinator.Ctl("node", "remove", "ehr")
	for _, d := range s.nodes {
		d.Process.Kill()
	}
	d := &damaged{scene: s, was: s.account(t)}
	if err := s.coordinator.Process.Stop(patience); err != nil {
		t.Fatalf("the coordinator ends: %v", err)
	}
	d.good = files(t, s.coordinator.State)
	return d
}

// account is everything that must not get lost, as text.
func (s *scene) account(t *testing.T) string {
	t.Helper()
	status := ask(t, s.admin.Status, &admin.StatusRequest{})
	status.Connected, status.Acknowledged = 0, 0
	nodes := ask(t, s.admin.ListNodes, &admin.ListNodesRequest{})
	for _, n := range nodes.Nodes {
		n.Connected, n.LastSeen, n.Acknowledged, n.Endpoints, n.Warnings = false, 0, 0, nil, nil
		n.Version, n.Os = "", ""
	}
	return fmt.Sprint(prototext.Format(status), prototext.Format(nodes),
		prototext.Format(ask(t, s.admin.ListTokens, &admin.ListTokensRequest{})),
		prototext.Format(ask(t, s.admin.GetPolicy, &admin.GetPolicyRequest{})))
}

// ask calls a method of the admin API, or fails the test.
func ask[Q, A any](t *testing.T, call func(context.Context, *connect.Request[Q]) (*connect.Response[A], error), q *Q) *A {
	t.Helper()
	r, err := call(t.Context(), connect.NewRequest(q))
	if err != nil {
		t.Fatalf("%T: %v", q, err)
	}
	return r.Msg
}

// files reads every regular file below a folder.
func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		name, _ := filepath.Rel(dir, path)
		all[name] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// mend puts the state back as it was.
func (d *damaged) mend(t *testing.T) {
	t.Helper()
	dir := d.coordinator.State
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	for name, text := range d.good {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// serve starts the coordinator and gives what it said if it refused to.
func (d *damaged) start(t *testing.T) (said string, refused bool) {
	t.Helper()
	c := d.coordinator
	p := c.Host.Start("coordinator", d.programs.Path("cordon-coordinator"), "serve", "--state", c.State, "--listen", c.Address.String())
	c.Process = p
	lab.Eventually(t, patience, "the coordinator serves or refuses", func() (bool, string) {
		if refused, _ = p.Exited(); refused {
			return true, ""
		}
		_, err := d.admin.Status(t.Context(), connect.NewRequest(&admin.StatusRequest{}))
		return err == nil, fmt.Sprint(err)
	})
	return p.Log(), refused
}

// F05: a coordinator whose state is damaged or gone refuses to start, names the
// file and the way back, leaves it as it is, and never begins anew: a fresh
// store would have forgotten every revocation.
func TestDamagedStateIsRefusedAndNamed_F05(t *testing.T) {
	d := raiseDamaged(t)
	if d == nil {
		return
	}
	for _, bad := range damages() {
		t.Run(bad.file+" "+bad.name, func(t *testing.T) {
			d.mend(t)
			path := filepath.Join(d.coordinator.State, bad.file)
			if err := bad.do(path, []byte(d.good[bad.file])); err != nil {
				t.Fatal(err)
			}
			before := files(t, d.coordinator.State)
			said, refused := d.start(t)
			if !refused {
				d.coordinator.Process.Kill()
				t.Fatalf("the coordinator serves it:\n%s", said)
			}
			for _, want := range append(bad.says, path) {
				if !strings.Contains(said, want) {
					t.Errorf("the refusal does not name %q:\n%s", want, said)
				}
			}
			if n := strings.Count(said, "\n"); n > 3 {
				t.Errorf("the refusal is %d lines long:\n%s", n, said)
			}
			wantSame(t, before, files(t, d.coordinator.State))
		})
	}
	t.Run("mended", func(t *testing.T) {
		d.mend(t)
		if said, refused := d.start(t); refused {
			t.Fatalf("the state is whole again, and refused:\n%s", said)
		}
		if now := d.account(t); now != d.was {
			t.Errorf("it was\n%s\nand is\n%s", d.was, now)
		}
	})
}

// wantSame compares states' files; a lock may be added.
func wantSame(t *testing.T, before, after map[string]string) {
	t.Helper()
	for name, text := range before {
		if now, ok := after[name]; !ok || now != text {
			t.Errorf("a refused start changed %s (still there: %v)", name, ok)
		}
	}
	for name := range after {
		if _, ok := before[name]; !ok && !strings.HasSuffix(name, ".lock") {
			t.Errorf("a refused start made %s", name)
		}
	}
}

// flips is how many random bits are tried, each with a start of the program.
const flips = 40

// F05: whichever bit of the database flips, the coordinator refuses to start,
// or has forgotten nothing; a bit of the audit, `audit verify` finds.
func TestAnyFlippedBitIsRefusedOrHarmless_F05(t *testing.T) {
	d := raiseDamaged(t)
	if d == nil {
		return
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random, good := rand.New(rand.NewPCG(seed, 0)), []byte(d.good["cordon.db"])
	path, refusals := filepath.Join(d.coordinator.State, "cordon.db"), 0
	for range flips {
		d.mend(t)
		bad, at := bytes.Clone(good), random.IntN(len(good))
		bad[at] ^= 1 << random.IntN(8)
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		said, refused := d.start(t)
		if refused {
			refusals++
			if !strings.Contains(said, path) {
				t.Errorf("byte %d: the refusal does not name the file:\n%s", at, said)
			}
			continue
		}
		if now := d.account(t); now != d.was {
			t.Errorf("byte %d: it was\n%s\nand is served as\n%s", at, d.was, now)
		}
		d.coordinator.Process.Kill()
	}
	t.Logf("%d of %d flipped bits were refused, the others changed nothing", refusals, flips)

	d.mend(t)
	if err := flipIn("token.create")(path, good); err != nil {
		t.Fatal(err)
	}
	if _, refused := d.start(t); refused {
		return
	}
	if out, err := d.coordinator.TryCtl("", "audit", "verify"); err == nil {
		t.Errorf("an audit record was changed, and verify says %s", out)
	}
}

// F10: a second coordinator on the same state refuses to start, and the first
// does not notice.
func TestTwoCoordinatorsNeverShareAState_F10(t *testing.T) {
	d := raiseDamaged(t)
	if d == nil {
		return
	}
	if said, refused := d.start(t); refused {
		t.Fatal(said)
	}
	c := d.coordinator
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	said, err := c.Host.Run(ctx, d.programs.Path("cordon-coordinator"), "serve", "--state", c.State, "--listen", "127.0.0.1:9443")
	if err == nil || ctx.Err() != nil {
		t.Fatalf("a second coordinator serves the same state: %v\n%s", err, said)
	}
	for _, want := range []string{c.State, "another process", "stop the other coordinator"} {
		if !strings.Contains(said, want) {
			t.Errorf("the refusal lacks %q:\n%s", want, said)
		}
	}
	c.Token("tag:lab") // the first still writes, by the same socket
	if out := c.Ctl("audit", "verify"); !strings.Contains(out, "whole") {
		t.Error(out)
	}
	c.Process.Kill()
	if said, refused := d.start(t); refused {
		t.Errorf("killed, the first cannot start again:\n%s", said)
	}
}
