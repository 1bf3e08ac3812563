//go:build linux

package lab

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What a machine without root or a CI does cannot be had on the machine that
// runs this test, so it goes below the public door.
func TestWithoutRootATestIsNamedAndWithCIItFails(t *testing.T) {
	list := filepath.Join(t.TempDir(), "not-run")
	var said bytes.Buffer
	var ok bool
	code := Main("TestX", &said, func(t T) { ok = require(t, 1000, "", list) })
	text, _ := os.ReadFile(list)
	if ok || code != 0 || !strings.HasPrefix(string(text), "TestX: needs root") || !strings.Contains(said.String(), "NOT RUN TestX") {
		t.Errorf("ran %v, code %d, list %q, said %q", ok, code, text, &said)
	}
	if code := Main("TestX", &said, func(t T) { require(t, 1000, "true", list) }); code != 1 {
		t.Error("with CI=true a missing root passes")
	}
	if code := Main("TestX", &said, func(t T) { require(t, 1000, "", filepath.Join(list, "no")) }); code != 1 {
		t.Error("a test that could not be named passes")
	}
	if code := Main("TestX", &said, func(t T) { ok = require(t, 0, "true", "") }); !ok || code != 0 {
		t.Error("root is there, and the test does not run")
	}
}
