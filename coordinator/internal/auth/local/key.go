package local

import (
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/crypto/chacha20poly1305"
)

// keyPrefix begins a key's line in its file.
const keyPrefix = "cordon-local-key-1:"

// Key seals what proofs are checked against. It lives in a file beside the journal,
// so that a copy of the journal alone can't even be searched for passwords. The zero
// Key is not valid.
type Key struct {
	seal cipher.AEAD
	mac  []byte
}

// Format prints nothing of the key, whatever the verb.
func (*Key) Format(f fmt.State, _ rune) { fmt.Fprint(f, "local.Key(hidden)") }

// ReadKey reads a key's file. It wraps fs.ErrNotExist if there is none.
func ReadKey(path string) (*Key, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("the key of local people: %w", err)
	}
	digits, ok := strings.CutPrefix(strings.TrimSpace(string(text)), keyPrefix)
	secret, err := hex.DecodeString(digits)
	if !ok || err != nil || len(secret) != chacha20poly1305.KeySize {
		return nil, fmt.Errorf("the key of local people in %s is damaged: restore the file from a backup", path)
	}
	return newKey(secret)
}

// MakeKey draws a key and writes its file, which must not be there. The file is
// whole or not there, whatever happens meanwhile.
func MakeKey(path string) (*Key, error) {
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("making the key of local people: %s: %w", path, errors.Join(fs.ErrExist, err))
	}
	secret := make([]byte, chacha20poly1305.KeySize)
	_, _ = rand.Read(secret) // never fails: crypto/rand
	if err := write(path, keyPrefix+hex.EncodeToString(secret)+"\n"); err != nil {
		return nil, fmt.Errorf("making the key of local people: %w", err)
	}
	return newKey(secret)
}

func write(path, text string) error {
	fresh := path + ".new"
	f, err := os.OpenFile(fresh, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(fresh, path)
	}
	if err != nil {
		return err
	}
	if folder, err := os.Open(filepath.Dir(path)); err == nil {
		defer folder.Close()
		_ = folder.Sync() // Windows has no such call; elsewhere the next start finds no key, and nobody who needs it
	}
	return nil
}

func newKey(secret []byte) (*Key, error) {
	seal, err := hkdf.Key(sha256.New, secret, nil, "cordon local people: seal", chacha20poly1305.KeySize)
	if err != nil {
		return nil, err
	}
	mac, err := hkdf.Key(sha256.New, secret, nil, "cordon local people: derive", sha256.Size)
	if err != nil {
		return nil, err
	}
	aead, err := chacha20poly1305.NewX(seal)
	return &Key{seal: aead, mac: mac}, err
}

// close seals a thing of a person: it opens as nothing else, and as nobody else's.
func (k *Key) close(user, what string, plain []byte) []byte {
	nonce := make([]byte, k.seal.NonceSize())
	_, _ = rand.Read(nonce)
	return k.seal.Seal(nonce, nonce, plain, []byte(what+"\n"+user))
}

func (k *Key) open(user, what string, sealed []byte) ([]byte, error) {
	n := k.seal.NonceSize()
	if len(sealed) < n {
		return nil, fmt.Errorf("%s of %s is cut", what, user)
	}
	plain, err := k.seal.Open(nil, sealed[:n], sealed[n:], []byte(what+"\n"+user))
	if err != nil {
		return nil, fmt.Errorf("%s of %s was sealed with another key, or changed", what, user)
	}
	return plain, nil
}

// derive gives what only who holds the key and a link's secret can know: the same
// each time.
func (k *Key) derive(what, secret string, n int) []byte {
	m := hmac.New(sha256.New, k.mac)
	fmt.Fprintf(m, "%s\n%s", what, secret)
	return m.Sum(nil)[:n]
}
