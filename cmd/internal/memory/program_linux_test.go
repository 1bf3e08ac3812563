package memory

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// resident is how much of files is mapped, in kilobytes.
func resident(t *testing.T) (kib int) {
	t.Helper()
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if n, _ := fmt.Sscanf(line, "RssFile: %d kB", &kib); n == 1 {
			return kib
		}
	}
	t.Fatal("the kernel does not say what is resident")
	return 0
}

// That the test goes on shows that what was let go comes back.
func TestProgramIsLetGoAndComesBack(t *testing.T) {
	spans, err := program()
	if err != nil || len(spans) < 2 {
		t.Fatalf("the program is mapped at %v, %v; want its code and its constants at least", spans, err)
	}
	for _, s := range spans {
		if !s.clean || s.to <= s.from {
			t.Errorf("%+v", s)
		}
	}
	size := 0
	for _, s := range spans { // all of it is mapped: how much the start needed is no matter of this test
		size += int(s.to-s.from) >> 10
		if _, _, errno := unix.Syscall(unix.SYS_MADVISE, s.from, s.to-s.from, unix.MADV_POPULATE_READ); errno != 0 {
			t.Fatal(errno)
		}
	}
	before := resident(t)
	letGoOfProgram()
	if after := resident(t); before-after < size/4 {
		t.Errorf("%d kB of files are resident, were %d, of a program of %d", after, before, size)
	}
}
