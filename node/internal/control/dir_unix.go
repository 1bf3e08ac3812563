//go:build unix

package control

import (
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

func exposed(info fs.FileInfo) bool { return info.Mode().Perm()&0o077 != 0 }

func lockFile(f *os.File) error {
	return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
