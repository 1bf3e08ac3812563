//go:build linux

package lab

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// SmallDisk is [Lab.Dir] with a file system of its own, which is full at so
// many KiB.
func (l *Lab) SmallDisk(name string, kib int) string {
	l.t.Helper()
	dir := l.Dir(name)
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%dk,mode=0700", kib)); err != nil {
		l.t.Fatalf("mount a small disk for %s: %v", name, err)
	}
	l.atEnd(func() { unmountBelow(dir) })
	return dir
}

// unmountBelow takes away every mount at a directory and below it, also those
// that are in use: what a killed test left.
func unmountBelow(dir string) {
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return
	}
	for line := range strings.Lines(string(mounts)) {
		fields := strings.Fields(line)
		if len(fields) > 1 && (fields[1] == dir || strings.HasPrefix(fields[1], dir+"/")) {
			unix.Unmount(fields[1], unix.MNT_DETACH)
		}
	}
}
