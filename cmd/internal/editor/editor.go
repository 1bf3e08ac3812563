// Package editor lets a person edit a text in the editor of their choice. It is
// the one place that runs another program.
//
// The program is what the person's own VISUAL or EDITOR names, and what it is
// given is a path that this package chose: no name from elsewhere reaches the
// arguments, and there is no shell. A draft is in a directory that its owner
// alone may enter, and stays there until somebody removes it.
package editor

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"unicode"
)

// Draft is a text on disk that is being edited.
type Draft struct{ dir, name string }

// NewDraft writes a text where its owner alone may read it. The name is the
// file's, for editors that look at its ending.
func NewDraft(name, text string) (*Draft, error) {
	dir, err := os.MkdirTemp("", "cordon-draft-*") // mode 0700: an editor's copies are in here, too
	if err != nil {
		return nil, fmt.Errorf("making room for a draft (TMPDIR says where): %w", err)
	}
	d := &Draft{dir, name}
	if err := os.WriteFile(d.Path(), []byte(text), 0o600); err != nil {
		return nil, errors.Join(err, d.Remove())
	}
	return d, nil
}

// Path is where the draft is.
func (d *Draft) Path() string { return filepath.Join(d.dir, d.name) }

// Remove takes the draft away, with what an editor left beside it.
func (d *Draft) Remove() error { return os.RemoveAll(d.dir) }

// Edit runs the person's editor on the draft until it ends. An interrupt
// meanwhile is the editor's business; afterwards one ends this program at once.
func (d *Draft) Edit() error {
	words := command()
	signal.Reset(os.Interrupt)
	interrupts := make(chan os.Signal, 1)
	signal.Notify(interrupts, os.Interrupt)
	defer signal.Stop(interrupts)
	run := exec.Command(words[0], append(words[1:], d.Path())...)
	run.Stdin, run.Stdout, run.Stderr = os.Stdin, os.Stdout, os.Stderr
	if err := run.Run(); err != nil {
		return fmt.Errorf("the editor %q: %w; name another one in VISUAL or EDITOR", words[0], err)
	}
	return nil
}

// command gives the editor and its own arguments.
func command() []string {
	words := split(cmp.Or(os.Getenv("VISUAL"), os.Getenv("EDITOR")))
	switch {
	case len(words) > 0:
		return words
	case runtime.GOOS == "windows":
		return []string{"notepad"}
	}
	return []string{"vi"}
}

// split parts words by blanks, as in "code --wait". One within quotes may hold blanks,
// as a path on Windows does.
func split(text string) (words []string) {
	for text = strings.TrimSpace(text); text != ""; text = strings.TrimSpace(text) {
		end, from := strings.IndexFunc(text, unicode.IsSpace), 0
		if closing := strings.IndexByte(text[1:], text[0]); strings.ContainsRune("\"'", rune(text[0])) && closing >= 0 {
			end, from = closing+1, 1
		}
		if end < 0 {
			return append(words, text)
		}
		words, text = append(words, text[from:end]), text[end+from:]
	}
	return words
}
