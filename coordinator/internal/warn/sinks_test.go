package warn_test

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/coordinator/internal/warn"
)

const secret = "0123456789abcdef"

func sent() warn.Warning {
	return warn.Warning{Lapse: lapse("of the mesh CA", day, 36*time.Hour), Left: 36 * time.Hour}
}

// What is posted is signed, with its time; it goes nowhere else, and what the other
// side will never take is told from what it cannot take now.
func TestWebhook_A09(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the warning went elsewhere") }))
	defer elsewhere.Close()
	code := http.StatusNoContent
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		var m struct{ Mesh, Kind, Name, Until, Text string }
		if err := json.Unmarshal(body, &m); err != nil || m.Mesh != "m-1" || m.Kind != "key" || m.Until != "2026-11-25T00:00:00Z" || !strings.Contains(m.Text, "ends in 36 hours") {
			t.Errorf("%+v, %v", m, err)
		}
		if got, want := r.Header.Get(warn.SignatureHeader), warn.Signature([]byte(secret), noon, body); got != want || !strings.HasPrefix(got, "t=1795435200,v1=") {
			t.Errorf("signed %s, want %s", got, want)
		}
		if code == http.StatusTemporaryRedirect {
			http.Redirect(w, r, elsewhere.URL, code)
			return
		}
		w.WriteHeader(code)
	}))
	defer s.Close()
	h, err := warn.NewWebhook(s.URL, "m-1", []byte(secret), func() time.Time { return noon })
	if err != nil {
		t.Fatal(err)
	}
	for c, refused := range map[int]bool{307: true, 401: true, 404: true, 408: false, 429: false, 500: false, 503: false} {
		code = c
		if err := h.Send(t.Context(), sent()); err == nil || errors.Is(err, warn.ErrRefused) != refused {
			t.Errorf("answered %d: %v", c, err)
		}
	}
	code = http.StatusOK
	if err := h.Send(t.Context(), sent()); err != nil {
		t.Error(err)
	}
	if warn.Signature([]byte(secret+"x"), noon, nil) == warn.Signature([]byte(secret), noon, nil) {
		t.Error("another secret gives the same signature")
	}
	for _, bad := range []string{"", "http://198.51.100.1/x", "https://user:pw@h.example/", "ftp://h.example/", "https://", "file:///etc/passwd"} {
		if _, err := warn.NewWebhook(bad, "m", []byte(secret), time.Now); err == nil {
			t.Errorf("%q is taken for a webhook", bad)
		}
	}
	if _, err := warn.NewWebhook("https://h.example/", "m", []byte("short"), time.Now); err == nil {
		t.Error("a short secret is taken")
	}
}

// The path of a chat's webhook is its secret: no error has it.
func TestWebhookKeepsItsPathToItself_A44(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close() // nobody listens there
	h, err := warn.NewWebhook("http://"+l.Addr().String()+"/services/T0/hunter2?key=hunter2", "m", []byte(secret), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Send(t.Context(), sent()); err == nil || strings.Contains(err.Error()+h.Name(), "hunter2") || !strings.Contains(err.Error(), "refused") {
		t.Errorf("%s: %v", h.Name(), err)
	}
	if _, err := warn.NewWebhook("http://chat.example/hunter2", "m", []byte(secret), time.Now); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Error(err)
	}
}

// syslogs are listeners of every kind, with what they heard.
func syslogs(t *testing.T) (urls []string, heard chan string) {
	t.Helper()
	heard = make(chan string, 8)
	packet, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "log")
	local, err := net.ListenPacket("unixgram", path)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{}, 3)
	for _, l := range []net.PacketConn{packet, local} {
		go func() {
			defer func() { done <- struct{}{} }()
			buffer := make([]byte, 4096)
			if n, _, err := l.ReadFrom(buffer); err == nil {
				heard <- string(buffer[:n])
			}
		}()
	}
	go func() {
		defer func() { done <- struct{}{} }()
		conn, err := stream.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		in := bufio.NewReader(conn)
		size, _ := in.ReadString(' ')
		n, _ := strconv.Atoi(strings.TrimSpace(size))
		text, _ := io.ReadAll(in)
		if n != len(text) {
			t.Errorf("a frame of %d bytes says that it has %d", len(text), n)
		}
		heard <- string(text)
	}()
	t.Cleanup(func() {
		packet.Close()
		local.Close()
		stream.Close()
		for range 3 {
			<-done
		}
	})
	return []string{"udp://" + packet.LocalAddr().String(), "unix://" + path, "tcp://" + stream.Addr().String()}, heard
}

func TestSyslog(t *testing.T) {
	urls, heard := syslogs(t)
	want := regexp.MustCompile(`^<108>1 2026-11-23T12:00:00\.000Z hub\.example cordon-coordinator - lapse-key - ` + "\ufeff" + `key of the mesh CA ends in 36 hours, at 2026-11-25 00:00 UTC: renew it$`)
	for _, url := range urls {
		s, err := warn.NewSyslog(url, "hub. example", func() time.Time { return noon })
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Send(t.Context(), sent()); err != nil {
			t.Fatalf("%s: %v", url, err)
		}
		if got := <-heard; !want.MatchString(got) {
			t.Errorf("%s heard %q", url, got)
		}
	}
	for _, bad := range []string{"", "udp://h", "tcp://:601", "http://h:1", "unix://h/dev/log", "udp://u@h:514", "tls://h:6514/x"} {
		if _, err := warn.NewSyslog(bad, "h", time.Now); err == nil {
			t.Errorf("%q is taken for a syslog", bad)
		}
	}
}

// Over TLS the other side must be who the authorities say that it is.
func TestSyslogOverTLSKnowsWhom_A09(t *testing.T) {
	s := httptest.NewTLSServer(nil)
	defer s.Close()
	log, err := warn.NewSyslog("tls://"+s.Listener.Addr().String(), "hub", time.Now)
	if err != nil {
		t.Fatal(err)
	}
	var unknown *tls.CertificateVerificationError
	if err := log.Send(t.Context(), sent()); !errors.As(err, &unknown) {
		t.Errorf("a certificate that no authority knows: %v", err)
	}
}
