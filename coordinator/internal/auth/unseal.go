package auth

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"filippo.io/age"
)

// Bounds on a backup. Who can seal one to our recovery key (its public half is
// no secret) must not be able to fill a disk with it.
const (
	maxBackupFiles = 64
	maxBackupFile  = 64 << 30
	maxBackupTotal = 128 << 30
)

// ErrBackup: not a backup, or not a whole one, or not for this recovery key.
var ErrBackup = errors.New("the backup can't be opened")

// Open reads a backup and hands every file to each, which must read it before
// it returns. A backup that was cut short or changed gives an error, maybe after
// some files: what each did counts only if Open returned nil.
func Open(r io.Reader, recovery Recovery, each func(name string, content io.Reader) error) error {
	if recovery.identity == nil {
		return fmt.Errorf("%w: no recovery key", ErrBackup)
	}
	plain, err := age.Decrypt(r, recovery.identity)
	if err != nil {
		return fmt.Errorf("%w: damaged, or sealed to another recovery key: %w", ErrBackup, err)
	}
	if err := unpack(tar.NewReader(plain), each); err != nil {
		return err
	}
	// The end of the archive is not the end of the seal: only at that is it known
	// that nothing was cut off.
	if n, err := io.Copy(io.Discard, io.LimitReader(plain, 1<<20)); err != nil || n == 1<<20 {
		return fmt.Errorf("%w: it does not end as it should", ErrBackup)
	}
	return nil
}

func unpack(archive *tar.Reader, each func(string, io.Reader) error) error {
	seen := map[string]bool{}
	var total int64
	for {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			if len(seen) == 0 {
				return fmt.Errorf("%w: it is empty", ErrBackup)
			}
			return nil
		}
		if err != nil {
			return fmt.Errorf("%w: %w", ErrBackup, err)
		}
		total += h.Size
		if err := checkEntry(h, len(seen), total, seen); err != nil {
			return fmt.Errorf("%w: %w", ErrBackup, err)
		}
		seen[h.Name] = true
		if err := each(h.Name, io.LimitReader(archive, h.Size)); err != nil {
			return fmt.Errorf("backup: %s: %w", h.Name, err)
		}
	}
}

func checkEntry(h *tar.Header, count int, total int64, seen map[string]bool) error {
	switch {
	case h.Typeflag != tar.TypeReg:
		return errors.New("it holds something that is no regular file")
	case isSparse(h):
		return errors.New("it holds a sparse file")
	case count >= maxBackupFiles:
		return fmt.Errorf("it holds more than %d files", maxBackupFiles)
	case h.Size < 0 || h.Size > maxBackupFile || total > maxBackupTotal:
		return errors.New("it holds more bytes than a backup may")
	case seen[h.Name]:
		return errors.New("it holds a file twice")
	}
	return checkName(h.Name)
}

// isSparse finds a regular file with holes (GNU's PAX records): a kilobyte of
// backup would become as many zeros on the disk as it likes.
func isSparse(h *tar.Header) bool {
	for name := range h.PAXRecords {
		if strings.HasPrefix(name, "GNU.sparse.") {
			return true
		}
	}
	return false
}

// checkName lets "name" and "folder/name" pass, in lower-case letters, digits,
// '.', '-' and '_', neither part beginning with a dot: no way leads out of the
// state folder, on any system.
func checkName(name string) error {
	parts := strings.Split(name, "/")
	if len(parts) > 2 || len(name) > 100 {
		return errors.New("a file name is deeper or longer than a backup has")
	}
	for _, part := range parts {
		if part == "" || part[0] == '.' || strings.Trim(part, "abcdefghijklmnopqrstuvwxyz0123456789.-_") != "" {
			return errors.New("a file name has parts that a backup has not")
		}
	}
	return nil
}

// Restore writes a backup into a folder that is not there. The folder gets its
// name only when the backup was read to its end.
func Restore(r io.Reader, recovery Recovery, folder string) error {
	if _, err := os.Lstat(folder); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("restoring into %s: %w; move it away first", folder, ErrExists)
	}
	fresh := folder + ".restoring"
	if err := os.RemoveAll(fresh); err != nil {
		return fmt.Errorf("restoring into %s: %w", folder, err)
	}
	if err := os.Mkdir(fresh, 0o700); err != nil {
		return fmt.Errorf("restoring into %s: %w", folder, err)
	}
	err := Open(r, recovery, func(name string, content io.Reader) error { return place(fresh, name, content) })
	if err == nil {
		err = os.Rename(fresh, folder)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("restoring into %s: %w", folder, err), os.RemoveAll(fresh))
	}
	return syncFolder(filepath.Dir(folder))
}

func place(folder, name string, content io.Reader) error {
	path := filepath.Join(folder, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, content)
	return errors.Join(err, f.Sync(), f.Close(), syncFolder(filepath.Dir(path)))
}
