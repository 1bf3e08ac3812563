package auth

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

func trim(text []byte) string { return strings.TrimSpace(string(text)) }

// cut gives the first line and what follows it.
func cut(text []byte) (line string, rest []byte, ok bool) {
	head, rest, ok := bytes.Cut(text, []byte("\n"))
	return trim(head), rest, ok
}

// save writes a file so that it has the old content or the new one, whatever
// happens meanwhile.
func save(folder, name string, content []byte) error {
	fresh := filepath.Join(folder, name+".new")
	f, err := os.OpenFile(fresh, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(fresh))
	}
	if err := os.Rename(fresh, filepath.Join(folder, name)); err != nil {
		return err
	}
	return syncFolder(folder)
}

// syncFolder makes new names in a folder durable. Windows has no such call.
func syncFolder(path string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
