package memory

import (
	"bufio"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// span is a mapping of the program's own file.
type span struct {
	from, to uintptr
	clean    bool // no page differs from the file, from which it can come back
}

// letGoOfProgram unmaps what this process has of its program: most of it served the
// start alone. What is needed again comes back from the machine's page cache.
func letGoOfProgram() {
	spans, err := program()
	if err != nil {
		return // nothing rests on it
	}
	for _, s := range spans {
		if s.clean {
			_, _, _ = unix.Syscall(unix.SYS_MADVISE, s.from, s.to-s.from, unix.MADV_DONTNEED) // or they stay
		}
	}
}

// program lists the mappings of the program's file that nobody may write to.
func program() (spans []span, err error) {
	exe, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return nil, err
	}
	f, err := os.Open("/proc/self/smaps")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	ours := false
	for lines := bufio.NewScanner(f); lines.Scan(); {
		line := lines.Text()
		var s span
		var may string
		if n, _ := fmt.Sscanf(line, "%x-%x %s", &s.from, &s.to, &may); n == 3 {
			if ours = strings.HasSuffix(line, " "+exe) && !strings.Contains(may, "w"); ours {
				spans = append(spans, s)
			}
			continue
		}
		var kib int
		if n, _ := fmt.Sscanf(line, "Anonymous: %d kB", &kib); n == 1 && ours {
			spans[len(spans)-1].clean = kib == 0
		}
	}
	return spans, nil
}
