package nodeapi_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/coordinator/internal/nodeapi"
	"github.com/cordonmesh/cordon/coordinator/internal/registry"
	"github.com/cordonmesh/cordon/coordinator/internal/store/storetest"
	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/coordinator/wire/key"
)

// Anybody can make a key and show a certificate of it. What such a stranger
// sends is refused after a few kilobytes, whatever the method, and becomes no
// heap of objects first: two bytes of a list's element stand for two hundred.
func TestStrangersMessagesStaySmall(t *testing.T) {
	r, err := registry.New(t.Context(), storetest.NewMemory(), registry.Config{})
	if err != nil {
		t.Fatal(err)
	}
	node := key.NewNode()
	own, err := wire.SelfSigned(&node)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(own.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	edge := nodeapi.Handler(nodeapi.Config{Registry: r, Log: slog.New(slog.DiscardHandler), Now: time.Now})
	for procedure, field := range map[string]byte{
		wire.NodeServiceEnrolProcedure: 7, wire.NodeServiceReportProcedure: 2, wire.NodeServiceSurrenderProcedure: 1, wire.NodeServiceLookupRulesProcedure: 1,
	} {
		body := &measured{Reader: bytes.NewReader(bytes.Repeat([]byte{field<<3 | 2, 0}, nodeapi.MaxRequest/2))}
		req := httptest.NewRequest(http.MethodPost, procedure, body)
		req.Header.Set("Content-Type", "application/proto")
		req.TLS = &tls.ConnectionState{HandshakeComplete: true, PeerCertificates: []*x509.Certificate{leaf}}
		w := timed{httptest.NewRecorder()}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		edge.ServeHTTP(w, req)
		runtime.ReadMemStats(&after)
		if w.Code == http.StatusOK || body.read > 2*nodeapi.MaxStranger {
			t.Errorf("%s: code %d after %d bytes of a stranger", procedure, w.Code, body.read)
		}
		if grown := after.TotalAlloc - before.TotalAlloc; grown > 1<<20 {
			t.Errorf("%s: a stranger had %d KB allocated", procedure, grown>>10)
		}
	}
}

// measured is a body that knows how much of it was read.
type measured struct {
	io.Reader
	read int
}

func (m *measured) Read(p []byte) (int, error) {
	n, err := m.Reader.Read(p)
	m.read += n
	return n, err
}
