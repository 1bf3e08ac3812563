//go:build linux

package lab

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// namesFile is what the lab's programs see as /etc/hosts.
func (l *Lab) namesFile() string { return filepath.Join(l.dir, "hosts") }

func (l *Lab) writeNames() error {
	var b strings.Builder
	b.WriteString("127.0.0.1 localhost\n::1 localhost\n")
	for _, name := range slices.Sorted(maps.Keys(l.top.Names)) {
		for _, a := range l.top.Names[name] {
			fmt.Fprintf(&b, "%s %s\n", a, name)
		}
	}
	return os.WriteFile(l.namesFile(), []byte(b.String()), 0o644)
}
