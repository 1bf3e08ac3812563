package integration

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/integration/lab"
	"github.com/cordonmesh/cordon/node/local"
)

// hotel is a network behind a router that is a captive portal, and the hub beyond.
func hotel() lab.Topology {
	link := func(network, address string) lab.Link {
		return lab.Link{Network: network, Addresses: []string{address}}
	}
	return lab.Topology{
		Networks: []lab.Network{{Name: "rooms"}, {Name: "outside"}},
		Machines: []lab.Machine{
			{Name: "hub", Links: []lab.Link{link("outside", "10.77.0.1/24")}, Routes: []lab.Route{{To: "10.66.0.0/24", Via: "10.77.0.9"}}},
			{Name: "portal", Forward: true, Links: []lab.Link{link("rooms", "10.66.0.1/24"), link("outside", "10.77.0.9/24")}},
			{Name: "laptop", Links: []lab.Link{link("rooms", "10.66.0.2/24")}, Routes: []lab.Route{{To: "default", Via: "10.66.0.1"}}},
		},
	}
}

const intercept = `table ip portal {
	chain taken { type nat hook prerouting priority -100; iifname "eth0" tcp dport 8443 dnat to 10.66.0.1:8443
	}
	chain shut { type filter hook forward priority 0; iifname "eth0" drop
	}
}
`

// A hotel's name server gives its portal's address for every name. A node goes by
// addresses at which its mesh root was proved. Where the portal answers at those
// too, nothing of it is believed, the help desk's page says what it is, and the
// node is back when the portal has opened.
func TestCaptivePortalIsSeenThrough_A34(t *testing.T) {
	t.Parallel() // most of it is waiting
	if !lab.Require(t) {
		return
	}
	const coordinator = "coordinator.hospital.example"
	s := &scene{t: t, programs: lab.Build(t), nodes: map[string]*lab.Daemon{}, named: coordinator}
	s.Lab = lab.Up(t, hotel())
	hub, portal := s.Host("hub"), s.Host("portal")
	s.Host("laptop").ResolvConf("nameserver 10.66.0.1\n")
	honest := portal.ServeNames(portal.Addr4(), map[string]netip.Addr{coordinator + ".": hub.Addr4()})
	s.found(`{"tagOwners": {"tag:laptop": []}, "grants": []}`, member{name: "laptop", owner: "tag:laptop"})
	laptop := s.nodes["laptop"]
	servePortal(t, portal)

	honest.Stop()
	lies := portal.ServeNames(portal.Addr4(), map[string]netip.Addr{coordinator + ".": portal.Addr4()})
	laptop.Process.Kill()
	laptop.Start()
	laptop.Wait("the coordinator is found where it was proved", func(st *local.Status) bool { return st.Coordinator.Connected })
	if lies.Asked()[coordinator+"."] == 0 {
		t.Error("the hotel's name server was not asked")
	}

	portal.NFT(intercept)
	laptop.Process.Kill()
	laptop.Start()
	lab.Eventually(t, patience, "the page says what the portal is", func() (bool, string) {
		f := finding(t, laptop, "coordinator")
		return f.State == local.FindingLimited && strings.Contains(f.Text, "in the coordinator's place") && strings.Contains(f.Advice, "captive portal"), f.Text
	})
	st, err := laptop.Status()
	if err != nil || st.Coordinator.Connected || st.State != local.StateRunning || !st.Map.FromDisk {
		t.Errorf("behind the portal the node says %+v, %v: want its map from disk", st, err)
	}

	portal.MustRun("nft", "delete", "table", "ip", "portal")
	laptop.Wait("the coordinator is there when the portal has opened", func(st *local.Status) bool { return st.Coordinator.Connected && !st.Map.FromDisk })
}

// servePortal answers everybody on the coordinator's port with a certificate of
// the portal's own.
func servePortal(t *testing.T, h *lab.Host) {
	t.Helper()
	secret, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	form := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, form, form, secret.Public(), secret)
	if err != nil {
		t.Fatal(err)
	}
	var l net.Listener
	err = h.Do(func() (err error) {
		l, err = net.Listen("tcp", netip.AddrPortFrom(h.Addr4(), 8443).String())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.RedirectHandler("https://portal.hotel.example/", http.StatusFound)}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		server.Serve(tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: secret}}, NextProtos: []string{"h2", "http/1.1"}}))
	}()
	t.Cleanup(func() {
		server.Close()
		<-ended
	})
}
