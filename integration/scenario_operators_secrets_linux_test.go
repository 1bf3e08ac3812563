package integration

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base32"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"github.com/cordonmesh/cordon/coordinator/admin"
	"github.com/cordonmesh/cordon/integration/lab"
)

const (
	webhookSecret = "what signs warnings 5tQ2"
	phrase        = "seven bandages under 9 lamps"
)

// guarded are the flags of a coordinator that a directory provisions, that knows people by
// itself, and that posts a signed warning at once: of a certificate that lapses.
func guarded(t *testing.T, hub *lab.Host, posted chan<- string) []string {
	t.Helper()
	hook := netip.MustParseAddrPort("127.0.0.1:9997")
	hub.ServeHTTP(hook, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		select {
		case posted <- r.Header.Get("Cordon-Signature") + string(body):
		default:
		}
	}))
	cert, webKey := lapsing(t, hub.Addr4())
	return []string{"--scim", "--local-people", "--password-memory", "12", "--web-cert", cert, "--web-key", webKey,
		"--warn-webhook", "http://" + hook.String() + "/", "--warn-webhook-secret-file", secretFile(t, webhookSecret+"\n")}
}

// lapsing makes a certificate for browsers that has an hour left of a year.
func lapsing(t *testing.T, at netip.Addr) (cert, webKey string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	what := &x509.Certificate{SerialNumber: big.NewInt(1), IPAddresses: []net.IP{at.AsSlice()}, NotBefore: time.Now().AddDate(-1, 0, 0), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, what, what, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return secretFile(t, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))), secretFile(t, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})))
}

// operated has operators, a directory and a person of the coordinator's own do what needs
// a secret, and gives these.
func (s *scene) operated(t *testing.T, posted <-chan string, said map[string]string) (all []secret) {
	t.Helper()
	d := s.directory()
	d.send("POST", "/Users", `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"olga@hospital.example","externalId":"sub-olga","active":true}`)
	all = append(all, credentialSecret(t, "the directory's token", d.secret), text("what signs warnings", "", webhookSecret))

	var made struct{ Text string }
	if err := json.Unmarshal([]byte(s.coordinator.Ctl("--json", "token", "create", "--admin", "--scope", "read")), &made); err != nil {
		t.Fatal(err)
	}
	file := secretFile(t, made.Text+"\n")
	said["status by a token"] = s.Host("ward").MustRun(s.programs.Path("cordonctl"), "--credential-file", file, "status")
	all = append(all, credentialSecret(t, "the admin token", made.Text))

	all = append(all, s.operatesSecretly(t, "nina@hospital.example", "nina", func(b *browser, page string) string { return b.signIn(page, "nina") }, said)...)
	all = append(all, s.ownPerson(t, said)...)
	select {
	case post := <-posted:
		said["the warning"] = post
		if !strings.HasPrefix(post, "t=") {
			t.Errorf("the warning is not signed: %s", post)
		}
	case <-time.After(patience):
		t.Error("no warning was posted")
	}
	return all
}

// credentialSecret gives what a credential's holder knows.
func credentialSecret(t *testing.T, what, credential string) secret {
	t.Helper()
	c, err := admin.ParseCredential(credential)
	if err != nil {
		t.Fatal(err)
	}
	return text(what, "", c.Secret)
}

// operatesSecretly has a person sign in to operate, who proves themselves in a browser as
// is said, and use the session; it gives the secrets of both.
func (s *scene) operatesSecretly(t *testing.T, login, who string, prove func(*browser, string) string, said map[string]string) (all []secret) {
	t.Helper()
	_, address, _ := strings.Cut(s.coordinator.Ctl("role", "grant", login, "auditor"), "--coordinator ")
	session := filepath.Join(t.TempDir(), "session")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := s.Host("ward").Command(ctx, s.programs.Path("cordonctl"), "--credential-file", session, "login", "--coordinator", strings.TrimSpace(address))
	typed, _ := cmd.StdinPipe()
	told, _ := cmd.StderrPipe()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	page := line(t, told, `https://\S+/login/\S+`)
	b := newBrowser(t, s.Host("hub"))
	end := prove(b, page)
	code := regexp.MustCompile(`[B-Z]{4}-[B-Z]{4}`).FindString(end)
	_, _ = io.WriteString(typed, code+"\n")
	rest, _ := io.ReadAll(told)
	if err := cmd.Wait(); err != nil || code == "" {
		t.Fatalf("%s does not operate: %v\n%s\n%s", who, err, rest, end)
	}
	said["whoami of "+who] = s.Host("ward").MustRun(s.programs.Path("cordonctl"), "--credential-file", session, "whoami")
	at, err := url.Parse(page)
	if err != nil {
		t.Fatal(err)
	}
	kept, err := os.ReadFile(session)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range b.Cookies(at) {
		all = append(all, text("the cookie "+c.Name+" of "+who, "", c.Value))
	}
	return append(all, credentialSecret(t, "the admin session of "+who, string(kept)), text("the last code of "+who, "", code), text("the sign-in of "+who, "", filepath.Base(at.Path)))
}

// ownPerson adds a person of the coordinator's own, who sets up a password and a code by
// their link, and operates by them.
func (s *scene) ownPerson(t *testing.T, said map[string]string) []secret {
	t.Helper()
	link := regexp.MustCompile(`https://\S+/login/set-up/\S+`).FindString(s.coordinator.Ctl("user", "add", "lena@hospital.example"))
	b := newBrowser(t, s.Host("hub"))
	_, page := b.visit(link + "/password")
	found := regexp.MustCompile(`class="code key">([A-Z2-7 ]+)<`).FindStringSubmatch(page)
	if found == nil {
		t.Fatalf("no key is shown behind %q:\n%s", link, page)
	}
	seed := strings.ReplaceAll(found[1], " ", "")
	raw, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(seed)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	submit := func(to string, fields url.Values) string {
		_, page, err := b.Submit(to, fields)
		if err != nil {
			t.Fatal(err)
		}
		return page
	}
	if done := submit(link+"/password", url.Values{"password": {phrase}, "again": {phrase}, "code": {codeAt(t, seed, now)}}); !strings.Contains(done, "You are set up") {
		t.Fatalf("lena sets up:\n%s", done)
	}
	all := s.operatesSecretly(t, "lena@hospital.example", "lena", func(b *browser, link string) string {
		step := func(fields url.Values) string {
			_, page := b.visit(link)
			fields.Set("form", regexp.MustCompile(`name="form" value="([^"]+)"`).FindStringSubmatch(page)[1])
			_, page, err := b.Submit(link, fields)
			if err != nil {
				t.Fatal(err)
			}
			return page
		}
		step(url.Values{"step": {"password"}})
		wrong := step(url.Values{"step": {"proof"}, "login": {"lena@hospital.example"}, "password": {phrase + "?"}, "code": {"000000"}})
		said["lena's wrong password"] = strings.ReplaceAll(wrong, filepath.Base(link), "") // it leads to itself
		// A code counts once, and the next one is taken before its time.
		return step(url.Values{"step": {"proof"}, "login": {"lena@hospital.example"}, "password": {phrase}, "code": {codeAt(t, seed, now.Add(30*time.Second))}})
	}, said)
	return append(all, text("lena's password", "", phrase), text("lena's seed", "", seed), secret{"lena's seed, raw", "", written(raw)},
		text("lena's link", "", filepath.Base(link)))
}

func codeAt(t *testing.T, seed string, at time.Time) string {
	t.Helper()
	code, err := totp.GenerateCode(seed, at)
	if err != nil {
		t.Fatal(err)
	}
	return code
}
