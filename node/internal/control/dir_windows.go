package control

import (
	"io/fs"
	"os"

	"golang.org/x/sys/windows"
)

// guarded cannot be told from Windows' mode bits: the directory's access list
// is the installer's to set.
func guarded(fs.FileInfo) error { return nil }

func lockFile(f *os.File) error {
	const flags = windows.LOCKFILE_EXCLUSIVE_LOCK | windows.LOCKFILE_FAIL_IMMEDIATELY
	return windows.LockFileEx(windows.Handle(f.Fd()), flags, 0, 1, 0, new(windows.Overlapped))
}

// syncDir does nothing: NTFS journals the rename itself.
func syncDir(string) error { return nil }
