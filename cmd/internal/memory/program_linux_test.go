package memory

import (
	"fmt"
	"os"
	"strings"
	"testing"
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
	before := resident(t)
	letGoOfProgram()
	if after := resident(t); after > before*3/4 {
		t.Errorf("%d kB of files are resident, were %d", after, before)
	}
}
