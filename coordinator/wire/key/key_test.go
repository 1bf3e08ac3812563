package key_test

import (
	"bytes"
	"encoding"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/cordonmesh/cordon/coordinator/wire/key"
)

// public is what every public key gives.
type public interface {
	fmt.Stringer
	encoding.TextMarshaler
	IsZero() bool
	Bytes() []byte
	Short() string
}

// role is one kind of key with the ways in and out of it.
type role struct {
	name         string
	secret       string // a fresh one, in text
	public       public // of that secret
	printable    []any  // the private key itself, also inside of others; prints nothing
	parse        func(text string) (secret string, err error)
	from         func(b []byte) (public, error)
	unmarshal    func(text []byte) (public, error)
	publicOfZero func()
}

type textPointer[T any] interface {
	*T
	encoding.TextUnmarshaler
}

func unmarshal[T public, P textPointer[T]](text []byte) (public, error) {
	var k T
	err := P(&k).UnmarshalText(text)
	return k, err
}

// holders puts a key where programs put keys: fmt does not ask the Format of an
// unexported field.
func holders[T any](k T) []any {
	type holder struct {
		inner struct{ k T }
		p     *T
	}
	return []any{k, &k, []T{k}, struct{ K T }{k}, struct{ k T }{k}, holder{inner: struct{ k T }{k}, p: &k}, &holder{p: &k}}
}

func roles() []role {
	root, mapKey, node, tunnel, path := key.NewRoot(), key.NewMap(), key.NewNode(), key.NewTunnel(), key.NewPath()
	return []role{
		{"root", root.Secret(), root.Public(), holders(root),
			func(s string) (string, error) { k, err := key.ParseRootPrivate(s); return k.Secret(), err },
			func(b []byte) (public, error) { return key.RootPublicFrom(b) }, unmarshal[key.RootPublic],
			func() { (&key.RootPrivate{}).Public() }},
		{"map", mapKey.Secret(), mapKey.Public(), holders(mapKey),
			func(s string) (string, error) { k, err := key.ParseMapPrivate(s); return k.Secret(), err },
			func(b []byte) (public, error) { return key.MapPublicFrom(b) }, unmarshal[key.MapPublic],
			func() { (&key.MapPrivate{}).Public() }},
		{"node", node.Secret(), node.Public(), holders(node),
			func(s string) (string, error) { k, err := key.ParseNodePrivate(s); return k.Secret(), err },
			func(b []byte) (public, error) { return key.NodePublicFrom(b) }, unmarshal[key.NodePublic],
			func() { (&key.NodePrivate{}).Public() }},
		{"tunnel", tunnel.Secret(), tunnel.Public(), holders(tunnel),
			func(s string) (string, error) { k, err := key.ParseTunnelPrivate(s); return k.Secret(), err },
			func(b []byte) (public, error) { return key.TunnelPublicFrom(b) }, unmarshal[key.TunnelPublic],
			func() { (&key.TunnelPrivate{}).Public() }},
		{"path", path.Secret(), path.Public(), holders(path),
			func(s string) (string, error) { k, err := key.ParsePathPrivate(s); return k.Secret(), err },
			func(b []byte) (public, error) { return key.PathPublicFrom(b) }, unmarshal[key.PathPublic],
			func() { (&key.PathPrivate{}).Public() }},
	}
}

func TestTextAndBytesRoundTrip(t *testing.T) {
	for _, r := range roles() {
		t.Run(r.name, func(t *testing.T) {
			if back, err := r.parse(r.secret); err != nil || back != r.secret {
				t.Error("the secret does not read back:", err)
			}
			text, err := r.public.MarshalText()
			if err != nil || string(text) != r.public.String() || !strings.HasPrefix(string(text), r.name+":") {
				t.Error(string(text), err)
			}
			if back, err := r.unmarshal(text); err != nil || back != r.public {
				t.Error(back, err)
			}
			if back, err := r.from(r.public.Bytes()); err != nil || back != r.public {
				t.Error(back, err)
			}
			if short := r.public.Short(); !strings.HasPrefix(r.public.String(), short) || len(short) != len(r.name)+9 {
				t.Error(short)
			}
			r.public.Bytes()[0] ^= 1
			if back, _ := r.unmarshal(text); back != r.public {
				t.Error("Bytes lends the key's own memory")
			}
		})
	}
}

// Each role refuses the text of every other, and what is no key at all; no
// error repeats the input, which may be a misplaced secret.
func TestWrongTextIsRefusedAndNotRepeated(t *testing.T) {
	all := roles()
	for _, r := range all {
		digits := strings.TrimPrefix(r.public.String(), r.name+":")
		bad := []string{"", r.name, r.name + ":", digits, r.name + ":" + digits[1:], r.name + ":" + digits + "0",
			r.name + ":" + digits[1:] + "g", r.name + ":" + strings.Repeat("0", 64), " " + r.public.String()}
		for _, other := range all {
			if other.name != r.name {
				bad = append(bad, other.public.String(), other.secret)
			}
		}
		for _, text := range bad {
			private := text
			if text == " "+r.public.String() || strings.HasPrefix(text, r.name+":") {
				private = "private-" + text
			}
			_, err1 := r.unmarshal([]byte(text))
			_, err2 := r.parse(private)
			for _, err := range []error{err1, err2} {
				if !errors.Is(err, key.ErrInvalid) {
					t.Fatalf("%s takes %q: %v", r.name, text, err)
				}
				if len(text) > 40 && strings.Contains(err.Error(), text[len(text)-30:]) {
					t.Fatalf("the error repeats the input: %v", err)
				}
			}
		}
		if _, err := r.unmarshal([]byte(r.secret)); !errors.Is(err, key.ErrInvalid) || strings.Contains(err.Error(), r.secret[20:]) {
			t.Fatal("a secret as a public key:", err)
		}
		if _, err := r.parse(r.public.String()); !errors.Is(err, key.ErrInvalid) {
			t.Fatal("a public key as a secret:", err)
		}
		for _, b := range [][]byte{nil, make([]byte, 32), bytes.Repeat([]byte{1}, 31), bytes.Repeat([]byte{1}, 33)} {
			if k, err := r.from(b); !errors.Is(err, key.ErrInvalid) || !k.IsZero() {
				t.Fatal(k, err)
			}
		}
	}
}

func TestPrivateKeysPrintNothing_A44(t *testing.T) {
	for _, r := range roles() {
		var out bytes.Buffer
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%c"} {
			for _, holder := range r.printable {
				fmt.Fprintf(&out, verb, holder)
			}
		}
		slog.New(slog.NewTextHandler(&out, nil)).Info("x", "k", r.printable)
		slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "k", r.printable)
		if b, err := json.Marshal(r.printable[0]); err == nil {
			t.Errorf("%s is marshalled: %s", r.name, b)
		}
		for _, s := range spellings(r.secret) {
			if strings.Contains(strings.ToLower(out.String()), s) {
				t.Fatalf("%s is printed: %s", r.name, out.String())
			}
		}
		if !strings.Contains(out.String(), "private-"+r.name+":(hidden)") {
			t.Fatalf("%s prints as %s", r.name, out.String())
		}
	}
}

// spellings gives the first bytes of a secret as fmt writes bytes under one verb
// or another, in lower case.
func spellings(secret string) (out []string) {
	digits := secret[strings.LastIndex(secret, ":")+1:]
	b, err := hex.DecodeString(digits[:16])
	if err != nil {
		panic(err)
	}
	list := fmt.Sprintf("%#v", b)
	return []string{digits[:16], strings.Trim(fmt.Sprint(b), "[]"), strings.Trim(fmt.Sprintf("%x", bytes.Split(b, nil)), "[]"),
		list[strings.Index(list, "{")+1 : len(list)-1]}
}

func TestZeroKeysDoNothing(t *testing.T) {
	for _, r := range roles() {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("a zero %s key has a public half", r.name)
				}
			}()
			r.publicOfZero()
		}()
	}
	msg := []byte("message")
	if err := (key.NodePublic{}).Verify(key.ContextMap, msg, make([]byte, 64)); !errors.Is(err, key.ErrSignature) {
		t.Fatal(err)
	}
	path := key.NewPath()
	if _, err := path.Agree(key.PathPublic{}); !errors.Is(err, key.ErrInvalid) {
		t.Fatal("agreed with no key:", err)
	}
	func() {
		defer func() {
			if recover() == nil {
				t.Error("a zero path key agrees")
			}
		}()
		_, _ = (&key.PathPrivate{}).Agree(path.Public())
	}()
}

func TestSignatureHoldsForOneKeyMessageAndPurpose(t *testing.T) {
	k, other, msg := key.NewNode(), key.NewNode(), []byte("message")
	sig := k.Sign(key.ContextStatement, msg)
	if err := k.Public().Verify(key.ContextStatement, msg, sig); err != nil {
		t.Fatal(err)
	}
	changed := bytes.Clone(sig)
	changed[10] ^= 1
	for name, err := range map[string]error{
		"another key":       other.Public().Verify(key.ContextStatement, msg, sig),
		"another purpose":   k.Public().Verify(key.ContextMap, msg, sig),
		"another message":   k.Public().Verify(key.ContextStatement, msg[1:], sig),
		"another signature": k.Public().Verify(key.ContextStatement, msg, changed),
		"no signature":      k.Public().Verify(key.ContextStatement, msg, nil),
	} {
		if !errors.Is(err, key.ErrSignature) {
			t.Errorf("%s verifies: %v", name, err)
		}
	}
	if got := k.Public().Standard(); !bytes.Equal(got, k.Public().Bytes()) {
		t.Error("another key as the standard library's type")
	}
}

// S + L is the same scalar in another encoding (RFC 8032 section 8.4): a second
// valid signature that nobody made must not exist, or whatever is known by its
// bytes could come twice.
func TestSignatureIsNotMalleable_A24(t *testing.T) {
	k, msg := key.NewNode(), []byte("message")
	sig := k.Sign(key.ContextStatement, msg)
	order := []byte{0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14,
		0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10}
	carry := 0
	for i := range order {
		carry += int(sig[32+i]) + int(order[i])
		sig[32+i], carry = byte(carry), carry>>8
	}
	if err := k.Public().Verify(key.ContextStatement, msg, sig); !errors.Is(err, key.ErrSignature) {
		t.Fatal("a second form of the signature verifies")
	}
}

func TestAgreeIsSymmetricAndPairwise(t *testing.T) {
	a, b, c := key.NewPath(), key.NewPath(), key.NewPath()
	agree := func(k *key.PathPrivate, p key.PathPublic) key.ProbeKey {
		t.Helper()
		out, err := k.Agree(p)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	ab := agree(&a, b.Public())
	if ab != agree(&b, a.Public()) {
		t.Fatal("the two ends derive different keys")
	}
	if ab == agree(&a, c.Public()) || ab == agree(&b, c.Public()) || ab == (key.ProbeKey{}) {
		t.Fatal("a key is shared with a third")
	}
	for _, verb := range []string{"%v", "%x", "%s", "%d"} {
		if got := fmt.Sprintf(verb, ab); got != "probe-key:(hidden)" {
			t.Fatal(got)
		}
	}
	// A low-order point: the secret would be the same whatever the private key
	// (RFC 7748 section 6.1).
	low, err := key.PathPublicFrom(append([]byte{1}, make([]byte, 31)...))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Agree(low); !errors.Is(err, key.ErrInvalid) {
		t.Fatal("agreed on a low-order point:", err)
	}
}

func TestAgreementKeysAreClamped(t *testing.T) {
	for range 20 {
		k := key.NewTunnel()
		raw := k.Raw()
		if raw[0]&7 != 0 || raw[31]&0xc0 != 0x40 {
			t.Fatalf("first byte %x, last byte %x", raw[0]&7, raw[31]&0xc0)
		}
	}
}

func TestFingerprintRoundTrip(t *testing.T) {
	root := key.NewRoot()
	f := root.Public().Fingerprint()
	if back, err := key.ParseFingerprint(f.String()); err != nil || back != f {
		t.Fatal(back, err)
	}
	for _, bad := range []string{"", f.String()[1:], f.String() + "0", f.String()[1:] + "g"} {
		if got, err := key.ParseFingerprint(bad); err == nil || got != (key.Fingerprint{}) {
			t.Errorf("%q: %v", bad, got)
		}
	}
}

func FuzzUnmarshalText(f *testing.F) {
	for _, r := range roles() {
		f.Add(r.public.String())
		f.Add(r.secret)
	}
	f.Fuzz(func(t *testing.T, text string) {
		taken := 0
		for _, r := range roles() {
			k, err := r.unmarshal([]byte(text))
			if err != nil {
				if !k.IsZero() {
					t.Fatal("an error and a key")
				}
				continue
			}
			taken++
			if k.IsZero() || !strings.EqualFold(k.String(), text) {
				t.Fatalf("%q reads as %s", text, k)
			}
		}
		if taken > 1 {
			t.Fatalf("%q is a key of %d roles", text, taken)
		}
	})
}
