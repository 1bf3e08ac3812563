//go:build unix

package stock

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// guarded tells why others may write a file.
func guarded(info fs.FileInfo) error {
	if info.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("others may write it (mode %04o), and so let themselves in: chmod go-w it", info.Mode().Perm())
	}
	if s, ok := info.Sys().(*syscall.Stat_t); ok && s.Uid != 0 && int(s.Uid) != os.Geteuid() {
		return fmt.Errorf("it belongs to user %d: chown it to root, or to the daemon's user", s.Uid)
	}
	return nil
}
