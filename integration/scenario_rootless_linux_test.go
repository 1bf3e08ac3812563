package integration

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A30: a rootless node exposes the services that it names. What else listens on
// its machine stays the machine's, however wide the policy is; and a right that
// ends, ends what lives by it there too.
func TestRootlessNodeExposesWhatItNamesAndNoMore_A30(t *testing.T) {
	open := strings.Replace(clinic, `["tcp:443", "udp:5000"]`, `["*"]`, 1)
	s := raise(t, open, member{name: "ward", owner: "nina@hospital.example"},
		member{name: "kiosk", owner: "tag:ehr", args: []string{"--userspace", "--expose", "443=127.0.0.1:8443"}})
	if s == nil {
		return
	}
	for _, at := range []string{"127.0.0.1:8443", "127.0.0.1:22", "[::1]:80"} {
		s.Host("kiosk").ServeEcho(netip.MustParseAddrPort(at))
	}
	for i, to := range s.at("kiosk", 443) {
		t.Run(family(to.Addr()), func(t *testing.T) {
			s.served("ward", "tcp", to)
			s.answered("ward", to.Addr())
			for _, port := range []uint16{8443, 22, 80} {
				s.refused("ward", "tcp", netip.AddrPortFrom(to.Addr(), port), syscall.ECONNREFUSED)
			}
			s.refused("kiosk", "tcp", s.at("ward", 443)[i], syscall.ENETUNREACH) // the machine itself is in no mesh
		})
	}
	conn, err := s.Host("ward").Dial(t.Context(), "tcp", s.at("kiosk", 443)[0])
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	s.setPolicy(shut)
	conn.SetDeadline(time.Now().Add(patience))
	if _, err := io.ReadAll(conn); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("a connection outlived its right, or was not told: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := s.exchange(ctx, "ward", "tcp", s.at("kiosk", 443)[0]); err == nil || ctx.Err() != nil {
		t.Errorf("after the policy's end: %v, want a refusal at once", err)
	}
}

// Programs that know no SOCKS, as most that obey HTTPS_PROXY, enter by the HTTP door: to
// what the policy opens, and to nothing that is not of the mesh.
func TestRootlessNodeIsEnteredByItsHTTPProxy(t *testing.T) {
	door := netip.MustParseAddrPort("127.0.0.1:3128")
	s := raise(t, clinic, member{name: "ward", owner: "nina@hospital.example", args: []string{"--userspace", "--http-proxy", door.String()}},
		member{name: "ehr", owner: "tag:ehr"})
	if s == nil {
		return
	}
	s.serve("ehr", 443, 22)
	outside := netip.MustParseAddrPort("127.0.0.1:22") // the machine's own, which is not the mesh's to open
	s.Host("ward").ServeEcho(outside)
	connect := func(to netip.AddrPort, want int) {
		t.Helper()
		conn, err := s.Host("ward").Dial(t.Context(), "tcp", door)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(patience))
		fmt.Fprintf(conn, "CONNECT %s HTTP/1.1\r\nHost: %[1]s\r\n\r\n", to)
		answer := bufio.NewReader(conn)
		resp, err := http.ReadResponse(answer, &http.Request{Method: http.MethodConnect})
		if err != nil || resp.StatusCode != want {
			t.Errorf("CONNECT %s: %v, %v, want status %d", to, resp, err, want)
			return
		}
		if want != http.StatusOK {
			return
		}
		fmt.Fprint(conn, "ping\n")
		if line, err := answer.ReadString('\n'); line != "ping\n" {
			t.Errorf("CONNECT %s: through the tunnel came %q, %v", to, line, err)
		}
	}
	for _, to := range s.at("ehr", 443) {
		connect(to, http.StatusOK)
		connect(netip.AddrPortFrom(to.Addr(), 22), http.StatusBadGateway) // reset, as by a machine on which nobody listens
	}
	connect(outside, http.StatusForbidden)
}
