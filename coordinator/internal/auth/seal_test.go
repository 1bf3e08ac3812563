package auth_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"

	"github.com/cordonmesh/cordon/coordinator/internal/auth"
)

// sealed makes a backup of the keys and a store of 200 KB.
func sealed(t *testing.T) (backup []byte, r auth.Recovery, folder string) {
	a, r, folder := create(t)
	files, err := a.KeyFiles()
	must(t, err)
	store := filepath.Join(t.TempDir(), "copy")
	must(t, os.WriteFile(store, bytes.Repeat([]byte("a patient's name"), 12500), 0o600))
	var out bytes.Buffer
	must(t, a.Seal(&out, append(files, auth.File{Name: "cordon.db", Path: store})...))
	return out.Bytes(), r, folder
}

func TestRestore(t *testing.T) {
	backup, recovery, keys := sealed(t)
	if bytes.Contains(backup, []byte("patient")) || bytes.Contains(backup, []byte("root.key")) {
		t.Error("the backup is not sealed")
	}
	again, err := auth.ParseRecovery(" " + recovery.Reveal() + "\n")
	must(t, err)
	state := filepath.Join(t.TempDir(), "state")
	must(t, auth.Restore(bytes.NewReader(backup), again, state))
	for _, name := range []string{"root.key", "root.crt", "ca.pem", "map.key", "recovery.pub", "replica"} {
		want, err := os.ReadFile(filepath.Join(keys, name))
		must(t, err)
		got, err := os.ReadFile(filepath.Join(state, "keys", name))
		must(t, err)
		if !bytes.Equal(got, want) {
			t.Errorf("%s is not what it was", name)
		}
	}
	if db, err := os.ReadFile(filepath.Join(state, "cordon.db")); err != nil || len(db) != 200_000 {
		t.Errorf("the store has %d bytes, %v", len(db), err)
	}
	_, err = auth.Load(filepath.Join(state, "keys"), noon) // and with the right modes
	must(t, err)
	if err := auth.Restore(bytes.NewReader(backup), again, state); !errors.Is(err, auth.ErrExists) {
		t.Errorf("a restore over a state gives %v", err)
	}
}

func TestRestoreRefusesDamage(t *testing.T) {
	backup, recovery, _ := sealed(t)
	_, other, _ := create(t)
	flipped := bytes.Clone(backup)
	flipped[len(flipped)/2] ^= 1
	for name, c := range map[string]struct {
		data []byte
		key  auth.Recovery
	}{
		"empty": {nil, recovery}, "text": {[]byte("hello"), recovery}, "another key": {backup, other}, "no key": {backup, auth.Recovery{}},
		"cut at the end": {backup[:len(backup)-1], recovery}, "cut in the middle": {backup[:len(backup)/2], recovery},
		"cut after a chunk": {backup[:len(backup)-len(backup)%65552], recovery}, "one bit": {flipped, recovery},
		"more behind it": {append(bytes.Clone(backup), 'x'), recovery},
	} {
		state := filepath.Join(t.TempDir(), "state")
		err := auth.Restore(bytes.NewReader(c.data), c.key, state)
		if !errors.Is(err, auth.ErrBackup) && (err == nil || !strings.Contains(err.Error(), "backup")) {
			t.Errorf("%s: %v", name, err)
		}
		left, err := os.ReadDir(filepath.Dir(state))
		if err != nil || len(left) > 0 {
			t.Errorf("%s: %v is left behind, %v", name, left, err)
		}
	}
}

// An archive may end before its seal does; that the seal is whole counts.
func TestRestoreReadsToTheEndOfTheSeal(t *testing.T) {
	_, recovery, _ := create(t)
	id, err := age.ParseX25519Identity(recovery.Reveal())
	must(t, err)
	var out bytes.Buffer
	w, err := age.Encrypt(&out, id.Recipient())
	must(t, err)
	archive := tar.NewWriter(w)
	must(t, archive.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "a"}))
	must(t, archive.Close())
	_, err = w.Write(make([]byte, 300_000))
	must(t, errors.Join(err, w.Close()))
	for cut, want := range map[int]error{0: nil, 100: auth.ErrBackup, 100_000: auth.ErrBackup} {
		state := filepath.Join(t.TempDir(), "state")
		if err := auth.Restore(bytes.NewReader(out.Bytes()[:out.Len()-cut]), recovery, state); !errors.Is(err, want) {
			t.Errorf("cut by %d: %v, want %v", cut, err, want)
		}
	}
}

// seal makes a backup as somebody could who only knows the public half.
func seal(t testing.TB, recovery auth.Recovery, headers ...tar.Header) []byte {
	id, err := age.ParseX25519Identity(recovery.Reveal())
	must(t, err)
	var out bytes.Buffer
	w, err := age.Encrypt(&out, id.Recipient())
	must(t, err)
	archive := tar.NewWriter(w)
	for _, h := range headers {
		must(t, archive.WriteHeader(&h))
		_, err := archive.Write(make([]byte, h.Size))
		must(t, err)
	}
	must(t, errors.Join(archive.Close(), w.Close()))
	return out.Bytes()
}

func TestRestoreStaysInItsFolder(t *testing.T) {
	_, recovery, _ := create(t)
	bad := []tar.Header{
		{Typeflag: tar.TypeSymlink, Name: "keys", Linkname: "/etc"},
		{Typeflag: tar.TypeLink, Name: "keys", Linkname: "/etc/passwd"},
		{Typeflag: tar.TypeDir, Name: "keys/"},
		{Typeflag: tar.TypeFifo, Name: "keys"},
	}
	for _, name := range []string{"../x", "/x", "a/../../x", "a/b/c", ".x", "a/.x", "..", "a//b", `a\b`, "C:x", "A", strings.Repeat("a", 101)} {
		bad = append(bad, tar.Header{Typeflag: tar.TypeReg, Name: name, Size: 1})
	}
	for _, h := range bad {
		backup := seal(t, recovery, tar.Header{Typeflag: tar.TypeReg, Name: "good", Size: 1}, h)
		state := filepath.Join(t.TempDir(), "state")
		if err := auth.Restore(bytes.NewReader(backup), recovery, state); !errors.Is(err, auth.ErrBackup) {
			t.Errorf("%q (%c) gives %v", h.Name, h.Typeflag, err)
		}
	}
	good := tar.Header{Typeflag: tar.TypeReg, Name: "a", Size: 1}
	var many []tar.Header
	for i := range 65 {
		many = append(many, tar.Header{Typeflag: tar.TypeReg, Name: strings.Repeat("a", i+1)})
	}
	for name, headers := range map[string][]tar.Header{"one file twice": {good, good}, "no file": {}, "too many": many} {
		state := filepath.Join(t.TempDir(), "state")
		if err := auth.Restore(bytes.NewReader(seal(t, recovery, headers...)), recovery, state); !errors.Is(err, auth.ErrBackup) {
			t.Errorf("%s gives %v", name, err)
		}
	}
}

func TestSealRefuses(t *testing.T) {
	a, _, folder := create(t)
	for _, f := range []auth.File{{Name: "../x", Path: filepath.Join(folder, "ca.pem")}, {Name: "x", Path: folder}, {Name: "x", Path: "/none"}} {
		if err := a.Seal(io.Discard, f); err == nil {
			t.Errorf("%+v was sealed", f)
		}
	}
}

// FuzzArchive unpacks whatever bytes stand under a seal, which anybody can make:
// nothing but plain files with plain names comes out, each once, and never more
// bytes than went in.
func FuzzArchive(f *testing.F) {
	f.Fuzz(func(t *testing.T, plain []byte) {
		seen, total := map[string]bool{}, int64(0)
		err := auth.Unpack(plain, func(name string, r io.Reader) error {
			if !filepath.IsLocal(name) || seen[name] || strings.ContainsAny(name, "\\:\x00") || strings.HasPrefix(filepath.Base(name), ".") {
				t.Errorf("a file %q after %v", name, seen)
			}
			seen[name] = true
			n, err := io.Copy(io.Discard, r)
			total += n
			return err
		})
		if err == nil && len(seen) == 0 || len(seen) > 64 || total > int64(len(plain)) {
			t.Errorf("%d files of %d bytes out of %d bytes, %v", len(seen), total, len(plain), err)
		}
		if err != nil && !errors.Is(err, auth.ErrBackup) && len(seen) == 0 {
			t.Errorf("an error that is no ErrBackup: %v", err)
		}
	})
}

func FuzzOpen(f *testing.F) {
	_, recovery, _ := create(f)
	f.Add([]byte("x"), byte('0'), "a")
	f.Add([]byte{}, byte('5'), "a/../b")
	f.Fuzz(func(t *testing.T, content []byte, kind byte, name string) {
		id, err := age.ParseX25519Identity(recovery.Reveal())
		must(t, err)
		var out bytes.Buffer
		w, err := age.Encrypt(&out, id.Recipient())
		must(t, err)
		archive := tar.NewWriter(w)
		if archive.WriteHeader(&tar.Header{Typeflag: kind, Name: name, Size: int64(len(content))}) == nil {
			_, _ = archive.Write(content)
		}
		_, _ = archive.Close(), w.Close()
		_ = auth.Open(&out, recovery, func(name string, r io.Reader) error {
			if !filepath.IsLocal(name) {
				t.Errorf("a file %q", name)
			}
			_, err := io.Copy(io.Discard, r)
			return err
		})
	})
}
