package auth

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"filippo.io/age"
)

// Recovery is the key that opens backups. It is printed once and kept on paper.
// The zero Recovery opens nothing.
type Recovery struct{ identity *age.X25519Identity }

func newRecovery() (Recovery, error) {
	id, err := age.GenerateX25519Identity()
	return Recovery{id}, err
}

// ParseRecovery reads what Reveal gave. Errors never repeat the input.
func ParseRecovery(text string) (Recovery, error) {
	id, err := age.ParseX25519Identity(trim([]byte(text)))
	if err != nil {
		return Recovery{}, errors.New("not a recovery key: want the line that begins with AGE-SECRET-KEY-1, as init printed it")
	}
	return Recovery{id}, nil
}

// Reveal gives the text, to be printed once.
func (r Recovery) Reveal() string { return r.identity.String() }

// Format prints nothing of the key, whatever the verb.
func (Recovery) Format(f fmt.State, _ rune) { fmt.Fprint(f, "recovery key:(hidden)") }

// MarshalText refuses: the key must not slip into JSON or a log.
func (Recovery) MarshalText() ([]byte, error) {
	return nil, errors.New("a recovery key is not marshalled; use Reveal")
}

// File is one file of a backup. Name is where it belongs, relative to the state
// folder, with '/'; Path is where it is now.
type File struct{ Name, Path string }

// KeyFiles names the files of the key folder for a backup. The root is among
// them if it is there.
func (a *Authority) KeyFiles() ([]File, error) {
	entries, err := os.ReadDir(a.folder)
	if err != nil {
		return nil, fmt.Errorf("backup of the keys: %w", err)
	}
	var out []File
	for _, e := range entries {
		if e.Type().IsRegular() && slices.Contains(keyFiles(), e.Name()) {
			out = append(out, File{Name: "keys/" + e.Name(), Path: filepath.Join(a.folder, e.Name())})
		}
	}
	return out, nil
}

func keyFiles() []string {
	return []string{fileRootKey, fileRootCert, fileCA, fileMap, filePrevious, fileRecipient, fileReplica}
}

// Seal writes files to w, sealed to the recovery key: a tar in age. What is
// written is worth nothing before Seal has returned nil.
func (a *Authority) Seal(w io.Writer, files ...File) error {
	sealed, err := age.Encrypt(w, a.now.Load().recipient)
	if err != nil {
		return fmt.Errorf("sealing a backup: %w", err)
	}
	archive := tar.NewWriter(sealed)
	for _, f := range files {
		if err := pack(archive, f); err != nil {
			return fmt.Errorf("sealing a backup: %s: %w", f.Name, err)
		}
	}
	if err := errors.Join(archive.Close(), sealed.Close()); err != nil {
		return fmt.Errorf("sealing a backup: %w", err)
	}
	return nil
}

func pack(archive *tar.Writer, f File) error {
	if err := checkName(f.Name); err != nil {
		return err
	}
	in, err := os.Open(f.Path)
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() || info.Size() > maxBackupFile {
		return fmt.Errorf("not a regular file of at most %d bytes", int64(maxBackupFile))
	}
	if err := archive.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: f.Name, Size: info.Size(),
		Mode: 0o600, ModTime: info.ModTime().Truncate(time.Second), Format: tar.FormatPAX}); err != nil {
		return err
	}
	_, err = io.CopyN(archive, in, info.Size())
	return err
}
