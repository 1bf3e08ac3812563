package store

import (
	"errors"
	"os"
	"runtime"
)

// SyncFolder makes it durable that a name in a folder is new, or gone.
func SyncFolder(path string) error {
	if runtime.GOOS == "windows" {
		return nil // it has no such call, and needs none
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
