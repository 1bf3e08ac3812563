package main

import (
	"errors"
	"os"
	"path/filepath"
)

// replaceFile gives a file another content: the whole of it or, if anything
// fails, nothing. A link is followed, so that it stays one.
func replaceFile(path string, content []byte) error {
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return err
	}
	was, err := os.Stat(path)
	if err != nil {
		return err
	}
	fresh, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	defer os.Remove(fresh.Name()) // in vain once it has its name
	_, err = fresh.Write(content)
	if err = errors.Join(err, keepOwner(fresh, was), fresh.Chmod(was.Mode().Perm()), fresh.Sync(), fresh.Close()); err != nil {
		return err
	}
	return os.Rename(fresh.Name(), path)
}
