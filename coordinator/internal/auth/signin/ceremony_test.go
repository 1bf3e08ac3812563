package signin_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"testing"

	"github.com/cordonmesh/cordon/coordinator/internal/auth/signin"
	"github.com/cordonmesh/cordon/coordinator/internal/registry"
)

// passkey is one that counts nothing, as those do that sync between devices.
type passkey struct {
	t   *testing.T
	key *ecdsa.PrivateKey
}

// pair makes one, and makes it ana's.
func (b *book) pair(t *testing.T) passkey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	point, err := key.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	// {1: 2, 3: -7, -1: 1, -2: x, -3: y} (RFC 9053)
	cose := append(append(append([]byte("\xa5\x01\x02\x03\x26\x20\x01\x21\x58\x20"), point[1:33]...), "\x22\x58\x20"...), point[33:]...)
	b.do(registry.SetUpLocal{Link: registry.HashSecret(aLink), Passkey: &registry.Passkey{ID: []byte("one"), Key: cose}})
	return passkey{t, key}
}

// answer is what a browser sends for a page that asks for the passkey (WebAuthn, 6.3.3).
func (k passkey) answer(page string) string {
	k.t.Helper()
	challenge := regexp.MustCompile(`challenge&#34;:&#34;([\w-]+)`).FindStringSubmatch(page)
	if challenge == nil {
		k.t.Fatalf("no challenge on\n%s", page)
	}
	at, err := url.Parse(self)
	if err != nil {
		k.t.Fatal(err)
	}
	b64 := base64.RawURLEncoding.EncodeToString
	client, _ := json.Marshal(map[string]any{"type": "webauthn.get", "challenge": challenge[1], "origin": self})
	host, said := sha256.Sum256([]byte(at.Hostname())), sha256.Sum256(client)
	data := append(host[:], 0x05, 0, 0, 0, 0) // the user is present, and verified
	digest := sha256.Sum256(append(append([]byte{}, data...), said[:]...))
	signature, err := ecdsa.SignASN1(rand.Reader, k.key, digest[:])
	if err != nil {
		k.t.Fatal(err)
	}
	out, _ := json.Marshal(map[string]any{"id": b64([]byte("one")), "rawId": b64([]byte("one")), "type": "public-key", "clientExtensionResults": map[string]any{},
		"response": map[string]string{"clientDataJSON": b64(client), "authenticatorData": b64(data), "signature": b64(signature), "userHandle": b64([]byte("s"))}})
	return string(out)
}

// What a passkey signed for a challenge that was answered already proves nobody, also
// where no page with another was shown yet: a passkey that counts nothing has nothing
// else that tells the first use from the second.
func TestAnsweredChallengeIsSpent_A16_A22(t *testing.T) {
	withPeople(t, func(t *testing.T, h *hall, book *book) {
		k, b := book.pair(t), h.browser()
		o := h.open("n1")
		page := b.prove(o.ID, url.Values{"step": {"passkey"}})
		send := func(answer string) {
			t.Helper()
			fields := url.Values{"step": {"answer"}, "answer": {answer}, "form": {token(page.body)}}
			if a := b.post("/login/"+o.ID, fields); a.Code != http.StatusSeeOther {
				t.Fatalf("answered %d:\n%s", a.Code, a.body)
			}
		}
		send("{}")
		send(k.answer(page.body))
		if got := h.outcome("n1", o.ID); got.State != signin.Pending {
			t.Errorf("for a challenge that was answered the node is told %+v", got)
		}
		page = b.get("/login/" + o.ID)
		send(k.answer(page.body))
		if got := h.outcome("n1", o.ID); got.State != signin.Done {
			t.Errorf("for a new challenge the node is told %+v", got)
		}
	})
}
