//go:build linux

package lab

import (
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sync"

	"github.com/miekg/dns"
)

// netnsEtc is where ip-netns(8) finds files that it puts over those of /etc for
// what it starts in a namespace.
const netnsEtc = "/etc/netns"

// ResolvConf gives a host a resolv.conf of its own, for every program that starts
// there from now on. The test may read it at path.
func (h *Host) ResolvConf(text string) (path string) {
	h.lab.t.Helper()
	dir := filepath.Join(netnsEtc, h.ns.name)
	path = filepath.Join(dir, "resolv.conf")
	h.lab.atEnd(func() { os.RemoveAll(dir) })
	err := os.MkdirAll(dir, 0o755)
	if err == nil {
		err = os.WriteFile(path, []byte(text), 0o644)
	}
	if err != nil {
		h.lab.t.Fatalf("a resolv.conf for %s: %v", h.Name, err)
	}
	return path
}

// NameServer is a name server that knows what a test told it.
type NameServer struct {
	server  *dns.Server
	records map[string]netip.Addr
	stop    func()

	mu    sync.Mutex
	asked map[string]int
}

// ServeNames answers for the addresses of these names over UDP, on port 53 of a
// host's address, until the lab ends or Stop.
func (h *Host) ServeNames(at netip.Addr, records map[string]netip.Addr) *NameServer {
	h.lab.t.Helper()
	s := &NameServer{records: records, asked: map[string]int{}}
	err := h.Do(func() error {
		conn, err := net.ListenPacket("udp", netip.AddrPortFrom(at, 53).String())
		s.server = &dns.Server{PacketConn: conn, Handler: dns.HandlerFunc(s.answer)}
		return err
	})
	if err != nil {
		h.lab.t.Fatalf("serve names on %s: %v", h.Name, err)
	}
	started, ended := make(chan struct{}), make(chan struct{})
	s.server.NotifyStartedFunc = func() { close(started) }
	go func() {
		defer close(ended)
		s.server.ActivateAndServe()
	}()
	<-started
	s.stop = sync.OnceFunc(func() {
		s.server.Shutdown()
		<-ended
	})
	h.lab.atEnd(s.stop)
	return s
}

func (s *NameServer) answer(w dns.ResponseWriter, q *dns.Msg) {
	name := dns.CanonicalName(q.Question[0].Name)
	s.mu.Lock()
	s.asked[name]++
	s.mu.Unlock()
	m := new(dns.Msg).SetReply(q)
	a, known := s.records[name]
	if !known {
		m.Rcode = dns.RcodeNameError
	} else if q.Question[0].Qtype == dns.TypeA {
		m.Answer = []dns.RR{&dns.A{Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 1}, A: a.AsSlice()}}
	}
	w.WriteMsg(m)
}

// Asked gives how often each name was asked for, lower case with a final dot.
func (s *NameServer) Asked() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := map[string]int{}
	for name, n := range s.asked {
		out[name] = n
	}
	return out
}

// Stop ends the server: from then on nobody is there.
func (s *NameServer) Stop() { s.stop() }
