package nodeapi_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/coordinator/internal/nodeapi"
	"github.com/cordonmesh/cordon/coordinator/internal/registry"
	"github.com/cordonmesh/cordon/coordinator/internal/store/storetest"
	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/coordinator/wire/key"
)

// A10: what a node asks for costs others, so it is given in measure; a node that
// asks too often does not use up what others may ask.
func TestNodeThatAsksTooOftenIsPaced_A10(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	allow := nodeapi.Pace(func() time.Time { return now })
	served := 0
	for range 1000 {
		if allow("loud", "report") {
			served++
		}
	}
	if served < 30 || served > 100 {
		t.Errorf("%d of 1000 calls of one moment are served", served)
	}
	if !allow("quiet", "report") || !allow("loud", "follow") {
		t.Error("another node, or another kind of call, pays for it")
	}
	now = now.Add(10 * time.Second)
	for served = 0; allow("loud", "report"); served++ {
	}
	if served < 5 || served > 20 {
		t.Errorf("%d calls are served after 10 s", served)
	}
	now = now.Add(-time.Hour) // a clock that is set back gives nothing away, and locks nobody out
	if allow("loud", "report") {
		t.Error("a clock that was set back serves what was refused")
	}
	now = now.Add(time.Minute)
	if !allow("loud", "report") {
		t.Error("a clock that was set back locks a node out")
	}
}

// What answers the coordinator's own changes is as often as those are.
func TestPacedProcedures(t *testing.T) {
	for procedure, want := range map[string]bool{
		wire.NodeServiceFollowProcedure: true, wire.NodeServiceReportProcedure: true, wire.NodeServiceRenewProcedure: true,
		wire.NodeServiceLookupRulesProcedure: true, wire.NodeServiceEnrolProcedure: true,
		wire.NodeServiceAcknowledgeProcedure: false, wire.NodeServiceSurrenderProcedure: false,
	} {
		if nodeapi.Paces(procedure) != want {
			t.Errorf("%s: counted %t, want %t", procedure, !want, want)
		}
	}
}

// The edge itself refuses, before anything is decoded.
func TestEdgeRefusesWhatComesTooOften_A10(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	r, err := registry.New(ctx, storetest.NewMemory(), registry.Config{})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	defer func() { stop(); <-ended }()
	node, tunnel, path := key.NewNode(), key.NewTunnel(), key.NewPath()
	for _, c := range []registry.Command{
		registry.Init{Mesh: wire.MeshID{1}, Domain: "mesh.example", IPv4: netip.MustParsePrefix("100.64.0.0/10"), IPv6: netip.MustParsePrefix("fd00:1::/48")},
		registry.CreateToken{ID: "join", Secret: registry.HashSecret("join"), Kind: registry.EnrolToken, User: "ana@clinic.example"},
		registry.Enrol{Secret: registry.HashSecret("join"), Key: node.Public(), Name: "loud", OS: "linux", Version: "1",
			Statement: wire.SignStatement(&node, tunnel.Public(), path.Public(), 1)},
	} {
		if _, err := r.Do(ctx, registry.System, c); err != nil {
			t.Fatal(err)
		}
	}
	own, err := wire.SelfSigned(&node)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(own.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	edge := nodeapi.Handler(nodeapi.Config{Registry: r, Log: slog.New(slog.DiscardHandler), Now: time.Now})
	answers := map[int]int{}
	for range 500 {
		req := httptest.NewRequest(http.MethodPost, wire.NodeServiceReportProcedure, strings.NewReader("{"))
		req.Header.Set("Content-Type", "application/json")
		req.TLS = &tls.ConnectionState{HandshakeComplete: true, PeerCertificates: []*x509.Certificate{leaf}}
		w := timed{httptest.NewRecorder()}
		edge.ServeHTTP(w, req)
		answers[w.Code]++
	}
	if answers[http.StatusBadRequest] < 30 || answers[http.StatusTooManyRequests] < 300 {
		t.Errorf("500 calls of one moment are answered %v", answers)
	}
}

// timed takes deadlines, as a connection does.
type timed struct{ *httptest.ResponseRecorder }

func (timed) SetReadDeadline(time.Time) error { return nil }
