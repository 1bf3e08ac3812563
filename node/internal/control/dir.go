package control

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/cordonmesh/cordon/coordinator/wire/key"
)

// Dir is a node's state directory, held by one daemon at a time. Everything in
// it is readable by its owner alone. A file is replaced whole or not at all, so
// a crash leaves the old one or the new one.
type Dir struct {
	path string
	lock *os.File

	identity sync.Mutex // one change of the identity at a time

	// Of the stored map; they belong to whoever loads and keeps it.
	full, all int                    // bytes of the stored Full, and of it with the Deltas since
	torn      bool                   // the file is not what is held: only a Full mends it
	signers   map[key.MapPublic]bool // of the stored map; nil: what is stored could not be read
}

// ErrHeld is returned when another daemon runs on the same state directory.
var ErrHeld = errors.New("another daemon holds this state directory")

// OpenDir makes the directory if there is none (mode 0700), refuses one that
// others may read or that another user owns, and takes its lock.
func OpenDir(path string) (*Dir, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("making the state directory: %w", err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("opening the state directory: %w", err)
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("state directory %s is no directory: choose another --state", path)
	}
	if err := guarded(info); err != nil {
		return nil, fmt.Errorf("state directory %s holds this node's private keys, and %w", path, err)
	}
	lock, err := os.OpenFile(filepath.Join(path, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("locking the state directory: %w", err)
	}
	if err := lockFile(lock); err != nil {
		lock.Close()
		return nil, fmt.Errorf("%w: %s: stop that one, or choose another --state", ErrHeld, path)
	}
	d := &Dir{path: path, lock: lock}
	d.sweep()
	return d, nil
}

// sweep removes what writes left behind that a crash cut short. It knows its
// names: somebody may have named a directory with other things in it.
func (d *Dir) sweep() {
	for _, name := range []string{"node.key", "tunnel.key", "path.key", "statement", identityFile, stampFile, hintsFile, relaysFile, portFile, mapFile, revocationFile, rangesFile, knownFile, stockFile, signedOutFile, drainsFile, "stamp"} {
		left, err := filepath.Glob(filepath.Join(d.path, "."+name+"-[0-9]*"))
		if err != nil {
			continue // a pattern of the directory's own name: then they stay
		}
		for _, path := range left {
			os.Remove(path)
		}
	}
}

// Close gives the lock back.
func (d *Dir) Close() error { return d.lock.Close() }

// Path of the directory.
func (d *Dir) Path() string { return d.path }

func (d *Dir) file(name string) string { return filepath.Join(d.path, name) }

// read gives the content of a file, or nil if there is none.
func (d *Dir) read(name string) ([]byte, error) {
	b, err := os.ReadFile(d.file(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err == nil && b == nil {
		b = []byte{}
	}
	return b, err
}

// write replaces a file whole: the new content is on the disk before its name is.
func (d *Dir) write(name string, content []byte) error {
	tmp, err := os.CreateTemp(d.path, "."+name+"-")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(content)
	err = errors.Join(err, tmp.Chmod(0o600))
	if err == nil {
		err = tmp.Sync()
	}
	if err = errors.Join(err, tmp.Close()); err != nil {
		return fmt.Errorf("writing %s: %w", d.file(name), err)
	}
	if err := os.Rename(tmp.Name(), d.file(name)); err != nil {
		return err
	}
	return syncDir(d.path)
}

// add appends to a file and waits until it is on the disk.
func (d *Dir) add(name string, content []byte) error {
	f, err := os.OpenFile(d.file(name), os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("writing %s: %w", d.file(name), err)
	}
	return nil
}

func (d *Dir) readJSON(name string, into any) (bool, error) {
	b, err := d.read(name)
	if err != nil || b == nil {
		return false, err
	}
	if err := json.Unmarshal(b, into); err != nil {
		return false, fmt.Errorf("%s is damaged: %w", d.file(name), err)
	}
	return true, nil
}

func (d *Dir) writeJSON(name string, from any) error {
	b, err := json.MarshalIndent(from, "", "  ")
	if err != nil {
		return err
	}
	return d.write(name, append(b, '\n'))
}

// PolicyTimeFile is where package policytime keeps its stamp.
func (d *Dir) PolicyTimeFile() string { return d.file("policytime") }
