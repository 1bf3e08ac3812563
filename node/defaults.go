package node

import (
	"os"
	"path/filepath"
	"runtime"
)

// DefaultStateDir is where a daemon keeps its state if it is not told: of the
// machine for root, of the user for others.
func DefaultStateDir() string {
	if runtime.GOOS != "windows" && os.Geteuid() == 0 {
		return "/var/lib/cordon"
	}
	base, err := os.UserConfigDir()
	if err != nil {
		return "cordon"
	}
	return filepath.Join(base, "cordon")
}

// DefaultSocket is where a daemon serves its local API if it is not told.
func DefaultSocket() string {
	if runtime.GOOS != "windows" && os.Geteuid() == 0 {
		return "/run/cordon/cordon.sock"
	}
	if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" {
		return filepath.Join(dir, "cordon.sock")
	}
	return filepath.Join(DefaultStateDir(), "cordon.sock")
}
