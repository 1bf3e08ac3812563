// Package auth holds what a coordinator proves itself with, and judges what
// nodes prove themselves with: the mesh root, the mesh CA, the map key, the
// certificates of coordinator and nodes, and the sealing of backups.
//
// Its promises:
//
//   - Private keys live in one folder of mode 0700, each file 0600; anything
//     more open is refused at start. None is ever in an error or a log.
//   - The mesh root may be taken away to a safe place after Create. Without it
//     nothing new can be certified, and the rest goes on until its end.
//   - Map key and CA have ends, and get successors from Renew well before these.
//   - A backup is sealed to a recovery key of which only the public half is kept
//     here: who steals backup and coordinator's disk image needs the paper too.
//
// What it leaves to others: which node may have a certificate (the registry
// knows keys; a certificate's end is no end of trust), and which token may do
// what (the registry and the edges).
package auth

import (
	"crypto/ed25519"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"filippo.io/age"

	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/coordinator/wire/key"
)

var (
	// ErrMissing: there are no keys where they should be.
	ErrMissing = errors.New("there are no keys")
	// ErrExists: Create found something in its place.
	ErrExists = errors.New("there are keys already")
	// ErrExposed: others than the owner can read a key.
	ErrExposed = errors.New("others than its owner can read it")
	// ErrKeys: a file of the folder is not what it should be.
	ErrKeys = errors.New("not what Create wrote")
	// ErrRootOffline: the mesh root is needed, and is not in the folder.
	ErrRootOffline = errors.New("the mesh root is not here")
)

// How long things last. Nodes that were away for longer than a map key lasts
// still verify their stored map with the certificate that they keep.
const (
	rootLife = 30 * 365 * 24 * time.Hour
	caLife   = 5 * 365 * 24 * time.Hour
	mapLife  = 365 * 24 * time.Hour
	NodeLife = 90 * 24 * time.Hour // of a node's certificate
	leafLife = 30 * 24 * time.Hour // of the coordinator's own, made anew at each start
	skew     = 24 * time.Hour      // by which a node's clock may be behind ours
)

// Authority is a coordinator's folder of keys. It may be used by several
// goroutines.
type Authority struct {
	folder  string
	renewal sync.Mutex // one Renew at a time
	now     atomic.Pointer[material]
}

// material is what the folder holds at one moment. It is never changed.
type material struct {
	root      *key.RootPrivate // nil: offline
	rootCert  *x509.Certificate
	rootKey   key.RootPublic
	caKey     ed25519.PrivateKey
	caCert    *x509.Certificate
	mapKey    *key.MapPrivate
	mapCerts  []*wire.MapKeyCertificate // newest first
	mapEnd    time.Time                 // of the newest
	recipient *age.X25519Recipient
	replica   string
}

// Create makes the keys of a new mesh in a folder that is not there, and gives
// the recovery key, which nothing keeps: print it once.
func Create(folder, replica string, now time.Time) (*Authority, Recovery, error) {
	if _, err := os.Lstat(folder); !errors.Is(err, fs.ErrNotExist) {
		return nil, Recovery{}, fmt.Errorf("creating keys in %s: %w; choose another state folder", folder, ErrExists)
	}
	recovery, err := newRecovery()
	if err != nil {
		return nil, Recovery{}, fmt.Errorf("creating the recovery key: %w", err)
	}
	fresh := folder + ".new" // gets its name when it is whole
	if err := os.RemoveAll(fresh); err != nil {
		return nil, Recovery{}, fmt.Errorf("creating keys in %s: %w", folder, err)
	}
	if err := build(fresh, replica, recovery, now); err != nil {
		return nil, Recovery{}, fmt.Errorf("creating keys in %s: %w", folder, err)
	}
	if err := os.Rename(fresh, folder); err != nil {
		return nil, Recovery{}, fmt.Errorf("creating keys in %s: %w", folder, err)
	}
	if err := syncFolder(filepath.Dir(folder)); err != nil {
		return nil, Recovery{}, fmt.Errorf("creating keys in %s: %w", folder, err)
	}
	a, err := Load(folder, now)
	return a, recovery, err
}

// Load reads the keys of a mesh, and renews what nears its end if the root is
// there. It fails if something has ended and can't be renewed.
func Load(folder string, now time.Time) (*Authority, error) {
	m, err := read(folder)
	if err != nil {
		return nil, err
	}
	a := &Authority{folder: folder}
	a.now.Store(m)
	if _, err := a.Renew(now); err != nil {
		return nil, err
	}
	return a, nil
}

// Mesh gives the mesh that the root stands for.
func (a *Authority) Mesh() wire.MeshID { return wire.MeshIDOf(a.Root()) }

// Root gives the public half of the mesh root.
func (a *Authority) Root() key.RootPublic { return a.now.Load().rootKey }

// Fingerprint gives what enrolment strings pin.
func (a *Authority) Fingerprint() key.Fingerprint { return a.Root().Fingerprint() }

// MapKey gives the key that signs maps now. The caller must not keep it beyond
// the next Renew.
func (a *Authority) MapKey() *key.MapPrivate { return a.now.Load().mapKey }

// MapKeyCertificates gives the certificate of MapKey and of the one before it.
func (a *Authority) MapKeyCertificates() []*wire.MapKeyCertificate { return a.now.Load().mapCerts }
