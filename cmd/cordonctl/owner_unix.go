//go:build unix

package main

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// keepOwner gives a file the owner and the group of the one that it takes the place of: a
// file that root formats stays its author's. Who may not give a file away replaces none of
// somebody else's, and a file of two names keeps both or is not replaced.
func keepOwner(fresh *os.File, was fs.FileInfo) error {
	had, ok := was.Sys().(*syscall.Stat_t)
	if !ok {
		return nil
	}
	if had.Nlink > 1 {
		return fmt.Errorf("%s has %d names (hard links), and writing it back would part them: use the output of `cordonctl policy fmt`", was.Name(), had.Nlink)
	}
	info, err := fresh.Stat()
	if err != nil {
		return err
	}
	if has, ok := info.Sys().(*syscall.Stat_t); ok && has.Uid == had.Uid && has.Gid == had.Gid {
		return nil
	}
	return fresh.Chown(int(had.Uid), int(had.Gid))
}
