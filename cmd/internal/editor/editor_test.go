package editor_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cordonmesh/cordon/cmd/internal/editor"
)

func TestDraft(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	d, err := editor.NewDraft("policy.hujson", "one\n")
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]os.FileMode{d.Path(): 0o600, filepath.Dir(d.Path()): 0o700 | os.ModeDir} {
		if info, err := os.Stat(path); err != nil || info.Mode() != want {
			t.Errorf("%s has mode %v, %v; want %v", path, info.Mode(), err, want)
		}
	}
	t.Setenv("EDITOR", "nobody-has-this-editor")
	t.Setenv("VISUAL", "sed -i s/one/two/") // the one that counts; its words are its own
	if err := d.Edit(); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(d.Path()); string(text) != "two\n" || err != nil {
		t.Errorf("the draft is %q, %v", text, err)
	}
	t.Setenv("VISUAL", ` 'sed'  "-i" -e  "s/two/two words/" `) // one within quotes may hold blanks
	if err := d.Edit(); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(d.Path()); string(text) != "two words\n" || err != nil {
		t.Errorf("the draft is %q, %v", text, err)
	}
	t.Setenv("VISUAL", "")
	if err := d.Edit(); err == nil || !strings.Contains(err.Error(), "nobody-has-this-editor") {
		t.Errorf("an editor that is not there: %v", err)
	}
	if _, err := os.Stat(d.Path()); err != nil {
		t.Error("the draft went with the editor")
	}
	if err := d.Remove(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Dir(d.Path())); !os.IsNotExist(err) {
		t.Errorf("something of the draft is left: %v", err)
	}
}
