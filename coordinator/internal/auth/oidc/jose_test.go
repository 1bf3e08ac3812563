package oidc_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"sync"
	"testing"
)

// Tokens are made here by hand from RFC 7515 and 7518: what reads them is a
// library, and its own writer would refuse most of what must be refused.

type object = map[string]any

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func encodeJSON(t testing.TB, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return encode(text)
}

// signer signs as one algorithm does. Its JWK may be published; for HMAC that is the
// secret itself.
type signer struct {
	alg  string
	sign func(t testing.TB, text []byte) []byte
	jwk  object
}

func (s signer) token(t testing.TB, header, claims object) string {
	t.Helper()
	text := encodeJSON(t, header) + "." + encodeJSON(t, claims)
	return text + "." + encode(s.sign(t, []byte(text)))
}

func es256(t testing.TB) signer {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	fixed := func(n *big.Int) []byte { return n.FillBytes(make([]byte, 32)) }
	point, err := k.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return signer{alg: "ES256", jwk: object{"kty": "EC", "crv": "P-256", "x": encode(point[1:33]), "y": encode(point[33:])},
		sign: func(t testing.TB, text []byte) []byte {
			sum := sha256.Sum256(text)
			r, s, err := ecdsa.Sign(rand.Reader, k, sum[:])
			if err != nil {
				t.Fatal(err)
			}
			return append(fixed(r), fixed(s)...)
		}}
}

func edDSA(t testing.TB) signer {
	t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	return signer{alg: "EdDSA", jwk: object{"kty": "OKP", "crv": "Ed25519", "x": encode(public)},
		sign: func(_ testing.TB, text []byte) []byte { return ed25519.Sign(private, text) }}
}

// rsaKey is one for all tests: to make one is slow.
var rsaKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

// rsaKeys gives that key as both of its algorithms, and its public half.
func rsaKeys(t testing.TB) (rs256, ps256 signer, public []byte) {
	t.Helper()
	k, err := rsaKey()
	if err != nil {
		t.Fatal(err)
	}
	jwk := object{"kty": "RSA", "n": encode(k.N.Bytes()), "e": encode(big.NewInt(int64(k.E)).Bytes())}
	with := func(alg string, options crypto.SignerOpts) signer {
		return signer{alg: alg, jwk: jwk, sign: func(t testing.TB, text []byte) []byte {
			sum := sha256.Sum256(text)
			sig, err := k.Sign(rand.Reader, sum[:], options)
			if err != nil {
				t.Fatal(err)
			}
			return sig
		}}
	}
	return with("RS256", crypto.SHA256), with("PS256", &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256}), k.N.Bytes()
}

// hs256 signs with a secret, of which the key set is the publication.
func hs256(secret []byte) signer {
	return signer{alg: "HS256", jwk: object{"kty": "oct", "k": encode(secret)}, sign: func(_ testing.TB, text []byte) []byte {
		mac := hmac.New(sha256.New, secret)
		mac.Write(text)
		return mac.Sum(nil)
	}}
}

// unsigned is the algorithm "none" (RFC 7518 section 3.6).
func unsigned() signer {
	return signer{alg: "none", sign: func(testing.TB, []byte) []byte { return nil }}
}
