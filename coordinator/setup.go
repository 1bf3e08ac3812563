package coordinator

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/cordonmesh/cordon/acl/policy"
	"github.com/cordonmesh/cordon/coordinator/admin"
	"github.com/cordonmesh/cordon/coordinator/internal/auth"
	"github.com/cordonmesh/cordon/coordinator/internal/ipam"
	"github.com/cordonmesh/cordon/coordinator/internal/registry"
	"github.com/cordonmesh/cordon/coordinator/internal/store/sqlite"
	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/coordinator/wire/key"
)

// Founded is what Init made.
type Founded struct {
	Mesh        wire.MeshID
	Fingerprint key.Fingerprint // of the mesh root
	Recovery    string          // opens backups; kept nowhere: show it once
}

// Init makes a new mesh: keys, an empty store, and a policy that denies all and
// teaches how to open something. It refuses a directory in which there is one.
func Init(ctx context.Context, s Setup) (*Founded, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(s.StateDir, 0o700); err != nil {
		return nil, fmt.Errorf("making the state directory: %w", err)
	}
	if entries, err := os.ReadDir(s.StateDir); err != nil || len(entries) > 0 {
		return nil, errors.Join(fmt.Errorf("%s is not empty: choose another --state, or serve what is there", s.StateDir), err)
	}
	if err := os.Chmod(s.StateDir, 0o700); err != nil {
		return nil, fmt.Errorf("closing the state directory to others: %w", err)
	}
	authority, recovery, err := auth.Create(filepath.Join(s.StateDir, folderKeys), "one", time.Now())
	if err != nil {
		return nil, err
	}
	journal, err := sqlite.Create(ctx, filepath.Join(s.StateDir, fileStore))
	if err != nil {
		return nil, err
	}
	defer journal.Close()
	if err := found(ctx, journal, s, authority.Mesh()); err != nil {
		return nil, err
	}
	if err := writeSettings(s.StateDir, settings{URL: s.URL}); err != nil {
		return nil, fmt.Errorf("writing the settings: %w", err)
	}
	return &Founded{Mesh: authority.Mesh(), Fingerprint: authority.Fingerprint(), Recovery: recovery.Reveal()}, nil
}

func found(ctx context.Context, journal registry.Journal, s Setup, mesh wire.MeshID) error {
	if !s.IPv4.IsValid() {
		s.IPv4 = ipam.DefaultIPv4()
	}
	if !s.IPv6.IsValid() {
		s.IPv6 = ipam.RandomULA()
	}
	if s.Domain == "" {
		s.Domain = "mesh.internal"
	}
	return withRegistry(ctx, journal, func(r *registry.Registry) error {
		if _, err := r.Do(ctx, registry.System, registry.Init{Mesh: mesh, Domain: s.Domain, IPv4: s.IPv4.Masked(), IPv6: s.IPv6.Masked()}); err != nil {
			return err
		}
		_, err := r.Do(ctx, registry.System, registry.SetPolicy{Text: policy.Starter(), File: "policy.hujson"})
		return err
	})
}

// withRegistry runs a registry over a journal for as long as f takes.
func withRegistry(ctx context.Context, journal registry.Journal, f func(*registry.Registry) error) error {
	r, err := registry.New(ctx, journal, registry.Config{AutoApprove: autoApprove, RoleScopes: admin.RoleScopes})
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	err = f(r)
	stop()
	return errors.Join(err, <-ended)
}

// Restore makes a state directory from a sealed backup and begins a new
// incarnation, so that the maps of the restored mesh supersede those that the
// lost one signed. Revocations that were made after the backup come back with
// the nodes that heard of them.
func Restore(ctx context.Context, stateDir, recovery string, backup io.Reader, reason string) error {
	rk, err := auth.ParseRecovery(recovery)
	if err != nil {
		return err
	}
	if _, err := os.Lstat(stateDir); !errors.Is(err, fs.ErrNotExist) {
		return errors.Join(fmt.Errorf("restoring into %s, which is there: move it away first", stateDir), err)
	}
	// The folder gets its name when the incarnation has begun: a restored mesh
	// served without one would sign maps that every node refuses as old.
	begun := stateDir + ".begun"
	if err := os.RemoveAll(begun); err != nil {
		return fmt.Errorf("restoring into %s: %w", stateDir, err)
	}
	if err := auth.Restore(backup, rk, begun); err != nil {
		return err
	}
	err = beginIncarnation(ctx, begun, reason)
	if err == nil {
		err = os.Rename(begun, stateDir)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("restoring into %s: %w", stateDir, err), os.RemoveAll(begun))
	}
	return nil
}

func beginIncarnation(ctx context.Context, dir, reason string) error {
	journal, err := sqlite.Open(ctx, filepath.Join(dir, fileStore), sqlite.Options{})
	if err != nil {
		return err
	}
	err = withRegistry(ctx, journal, func(r *registry.Registry) error {
		_, err := r.Do(ctx, registry.System, registry.BeginIncarnation{Reason: reason})
		return err
	})
	return errors.Join(err, journal.Close())
}

// backup writes everything that Restore needs, sealed to the recovery key.
func backup(ctx context.Context, stateDir string, authority *auth.Authority, journal *sqlite.Journal, to io.Writer) error {
	tmp, err := os.MkdirTemp(stateDir, ".backup-")
	if err != nil {
		return fmt.Errorf("making room for a backup: %w", err)
	}
	defer os.RemoveAll(tmp)
	copied := filepath.Join(tmp, fileStore)
	if err := journal.Copy(ctx, copied); err != nil {
		return err
	}
	files, err := authority.KeyFiles()
	if err != nil {
		return err
	}
	files = append(files, auth.File{Name: fileStore, Path: copied},
		auth.File{Name: fileSettings, Path: filepath.Join(stateDir, fileSettings)})
	if key := filepath.Join(stateDir, fileLocalKey); exists(key) {
		files = append(files, auth.File{Name: fileLocalKey, Path: key})
	}
	return authority.Seal(to, files...)
}
