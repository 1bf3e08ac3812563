package policytime

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

const stampPrefix = "cordon policy time "

// ErrStamp is returned for a stamp that cannot be trusted.
var ErrStamp = errors.New("not a policy time stamp")

// FormatStamp gives the one text form of a stamp: a line that people can read.
func FormatStamp(t time.Time) []byte {
	return []byte(stampPrefix + t.UTC().Format(time.RFC3339Nano) + "\n")
}

// ParseStamp reads what FormatStamp wrote, and nothing else: a line that was cut
// short by a crash must not pass for an earlier time.
func ParseStamp(in []byte) (time.Time, error) {
	text, ok := bytes.CutPrefix(in, []byte(stampPrefix))
	if !ok || len(text) > 64 {
		return time.Time{}, fmt.Errorf("%w: want one line that begins with %q", ErrStamp, stampPrefix)
	}
	t, err := time.Parse(time.RFC3339Nano, string(bytes.TrimSuffix(text, []byte("\n"))))
	if err != nil || !bytes.Equal(FormatStamp(t), in) {
		return time.Time{}, fmt.Errorf("%w: want one line of %q and a time in UTC as in RFC 3339", ErrStamp, stampPrefix)
	}
	return t, nil
}

// File is a Store in one file of that name.
type File string

// Load reads the file; no file is the zero time.
func (f File) Load() (time.Time, error) {
	in, err := os.ReadFile(string(f))
	if errors.Is(err, fs.ErrNotExist) {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, err
	}
	t, err := ParseStamp(in)
	if err != nil {
		return time.Time{}, fmt.Errorf("%s: %w", string(f), err)
	}
	return t, nil
}

// Save replaces the file as a whole: a crash leaves the old one or the new one.
func (f File) Save(t time.Time) error {
	tmp, err := os.CreateTemp(filepath.Dir(string(f)), ".stamp-*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(FormatStamp(t))
	if err == nil {
		err = tmp.Sync()
	}
	if err = errors.Join(err, tmp.Close()); err != nil {
		return err
	}
	if err := os.Rename(tmp.Name(), string(f)); err != nil {
		return err
	}
	return syncDir(filepath.Dir(string(f)))
}
