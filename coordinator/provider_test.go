package coordinator_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/cordonmesh/cordon/coordinator"
	"github.com/cordonmesh/cordon/coordinator/admin"
	"github.com/cordonmesh/cordon/coordinator/wire"
)

// provider is one of which ana has agreed to every device grant already, with a proof
// that it remembers.
type provider struct {
	*httptest.Server
	t      *testing.T
	key    *rsa.PrivateKey
	at     *clock
	proved time.Time // of the proof that it remembers
}

func newProvider(t *testing.T, at *clock) *provider {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	p := &provider{t: t, key: key, at: at}
	p.Server = httptest.NewServer(p)
	t.Cleanup(p.Close)
	return p
}

func (p *provider) config(c *coordinator.Config) {
	c.SignIn, c.Now = coordinator.SignIn{Issuer: p.URL, ClientID: "cordon"}, p.at.Now
}

func (p *provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	io.Copy(io.Discard, r.Body)
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(map[string]map[string]any{
		"/.well-known/openid-configuration": {"issuer": p.URL, "authorization_endpoint": p.URL + "/authorize", "token_endpoint": p.URL + "/token",
			"jwks_uri": p.URL + "/keys", "device_authorization_endpoint": p.URL + "/device", "id_token_signing_alg_values_supported": []string{"RS256"}},
		"/keys":   {"keys": []any{map[string]string{"kty": "RSA", "kid": "k1", "n": encode(p.key.N.Bytes()), "e": encode(big.NewInt(int64(p.key.E)).Bytes())}}},
		"/device": {"device_code": "d", "user_code": "WDJB-MJHT", "verification_uri": p.URL + "/enter", "expires_in": 600, "interval": 1},
		"/token":  {"access_token": "a", "token_type": "Bearer", "id_token": p.token()},
	}[r.URL.Path])
}

func (p *provider) token() string {
	now := p.at.Now().Unix()
	claims := map[string]any{"iss": p.URL, "sub": "ana", "aud": "cordon", "iat": now, "exp": now + 300, "auth_time": p.proved.Unix(),
		"email": "ana@clinic.example", "email_verified": true}
	body, err := json.Marshal(claims)
	if err != nil {
		p.t.Error(err)
	}
	text := encode([]byte(`{"alg":"RS256","kid":"k1"}`)) + "." + encode(body)
	sum := sha256.Sum256([]byte(text))
	mark, err := rsa.SignPKCS1v15(rand.Reader, p.key, crypto.SHA256, sum[:])
	if err != nil {
		p.t.Error(err)
	}
	return text + "." + encode(mark)
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// byCode opens a sign-in at a machine by a device code; what that gives waits for its end.
func (r *running) byCode(m *machine, afresh bool) func() *wire.AwaitLoginResponse {
	r.t.Helper()
	opened, err := m.BeginLogin(r.t.Context(), connect.NewRequest(&wire.BeginLoginRequest{DeviceCode: true, Afresh: afresh}))
	if err != nil {
		r.t.Fatal(err)
	}
	return func() *wire.AwaitLoginResponse {
		r.t.Helper()
		out, err := m.AwaitLogin(r.t.Context(), connect.NewRequest(&wire.AwaitLoginRequest{Login: opened.Msg.Login}))
		if err != nil {
			r.t.Fatal(err)
		}
		return out.Msg
	}
}

// By a device code nobody is asked to prove anew who they are. What the provider
// remembers does where that is not wanted, and neither for a fresh proof nor to bring a
// machine back whose time was over, though the proof is of after that.
func TestDeviceCodeIsNoFreshProof_A19_A22(t *testing.T) {
	t.Parallel()
	at := &clock{now: time.Now()}
	p := newProvider(t, at)
	r := begin(t, p.config)
	_, secret := r.token(&admin.CreateTokenRequest{Kind: admin.TokenKind_TOKEN_KIND_ENROL, User: "ana@clinic.example", Uses: 2})
	m, over := r.enrol(secret), r.enrol(secret)
	if _, err := r.root.ExpireNode(t.Context(), connect.NewRequest(&admin.ExpireNodeRequest{Node: over.id})); err != nil {
		t.Fatal(err)
	}
	at.forward(2 * time.Hour)
	p.proved = at.Now().Add(-time.Hour)
	plain, afresh, back := r.byCode(m, false), r.byCode(m, true), r.byCode(over, false)
	if out := plain(); out.State != wire.AwaitLoginResponse_DONE {
		t.Errorf("as it was: %v", out)
	}
	for name, out := range map[string]*wire.AwaitLoginResponse{"afresh": afresh(), "at a machine whose time is over": back()} {
		if out.State != wire.AwaitLoginResponse_REFUSED || !strings.Contains(out.Reason, "sign in without --device-code") {
			t.Errorf("%s: %v", name, out)
		}
	}
}
