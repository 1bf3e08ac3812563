package dns_test

import (
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	miekg "github.com/miekg/dns"

	"github.com/cordonmesh/cordon/node/internal/dns"
)

// upstream is a resolver that a test plays, over UDP and TCP.
type upstream struct {
	at     netip.AddrPort
	mu     sync.Mutex
	asked  []*miekg.Msg
	from   []netip.AddrPort
	answer func(network string, q *miekg.Msg) []*miekg.Msg // nil: silence
}

func newUpstream(t *testing.T, answer func(network string, q *miekg.Msg) []*miekg.Msg) *upstream {
	t.Helper()
	u := &upstream{answer: answer}
	packets, streams := both(t)
	u.at = packets.LocalAddr().(*net.UDPAddr).AddrPort()
	for _, s := range []*miekg.Server{
		{PacketConn: packets, Handler: u.handler("udp")}, {Listener: streams, Handler: u.handler("tcp")},
	} {
		started, ended := make(chan struct{}), make(chan error, 1)
		s.NotifyStartedFunc = func() { close(started) }
		go func() { ended <- s.ActivateAndServe() }()
		<-started
		t.Cleanup(func() {
			s.Shutdown()
			<-ended
		})
	}
	return u
}

// both listens on one port over UDP and TCP; the first may be taken for the other.
func both(t *testing.T) (packets net.PacketConn, streams net.Listener) {
	t.Helper()
	for range 50 {
		packets, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		streams, err := net.Listen("tcp", packets.LocalAddr().String())
		if err == nil {
			return packets, streams
		}
		packets.Close()
	}
	t.Fatal("no port is free over UDP and TCP")
	return nil, nil
}

func (u *upstream) handler(network string) miekg.HandlerFunc {
	return func(w miekg.ResponseWriter, q *miekg.Msg) {
		u.mu.Lock()
		u.asked = append(u.asked, q)
		u.from = append(u.from, netip.MustParseAddrPort(w.RemoteAddr().String()))
		u.mu.Unlock()
		for _, m := range u.answer(network, q) {
			w.WriteMsg(m)
		}
	}
}

func (u *upstream) count() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.asked)
}

// with answers a question with these records.
func with(q *miekg.Msg, records ...string) *miekg.Msg {
	m := new(miekg.Msg).SetReply(q)
	for _, text := range records {
		rr, err := miekg.NewRR(text)
		if err != nil {
			panic(err)
		}
		m.Answer = append(m.Answer, rr)
	}
	return m
}

func always(records ...string) func(string, *miekg.Msg) []*miekg.Msg {
	return func(_ string, q *miekg.Msg) []*miekg.Msg { return []*miekg.Msg{with(q, records...)} }
}

func silence(string, *miekg.Msg) []*miekg.Msg { return nil }

func route(domain string, servers ...netip.AddrPort) dns.Route {
	return dns.Route{Domain: domain, Servers: servers}
}

// Each domain goes to its own resolvers, the longest first; the mesh's names go
// to nobody, and a route within the mesh's domain is an admin's wish.
func TestDomainsGoToTheirResolvers(t *testing.T) {
	up := func(text string) *upstream { return newUpstream(t, always("x. 9 IN TXT "+text)) }
	hospital, lab, radiology, rest := up("hospital"), up("lab"), up("radiology"), up("rest")
	r := dns.NewResponder([]dns.Route{
		route("hospital.example", hospital.at), route("lab.hospital.example", lab.at), route("radiology."+domain, radiology.at),
	})
	zone := dns.ZoneOf(hospitalMap())
	for _, everything := range []bool{false, true} {
		r.Learn(zone, nil, []netip.AddrPort{rest.at}, everything)
		for name, want := range map[string]string{
			"hospital.example": `NOERROR "hospital"`, "www.Hospital.example": `NOERROR "hospital"`,
			"a.lab.hospital.example": `NOERROR "lab"`, "xlab.hospital.example": `NOERROR "hospital"`,
			"ct.radiology." + domain: `NOERROR "radiology"`, "ehr." + domain: "NOERROR", "pump." + domain: "NXDOMAIN",
			"9.0.64.100.in-addr.arpa": "NXDOMAIN",
			"xhospital.example":       map[bool]string{false: "REFUSED", true: `NOERROR "rest"`}[everything],
		} {
			if got := told(ask(t, r, query(name, miekg.TypeTXT))); got != want {
				t.Errorf("%s, everything %t: %s, want %s", name, everything, got, want)
			}
		}
	}
	if rest.count() != 1 {
		t.Errorf("the machine's own resolver was asked %d times, want once", rest.count())
	}
}

// The names of coordinator and relays are never the mesh's, nor a route's: not
// even where its domain covers them, or a peer has taken such a name.
func TestCoordinatorIsNotFoundThroughTheMesh(t *testing.T) {
	own, routed := newUpstream(t, always("x. 9 IN A 203.0.113.5")), newUpstream(t, always("x. 9 IN A 10.0.0.66"))
	r := dns.NewResponder([]dns.Route{route("hospital.example", routed.at)})
	names := []string{domain, "ehr." + domain, "relay.hospital.example"}
	r.Learn(dns.ZoneOf(hospitalMap()), names, []netip.AddrPort{own.at}, false)
	for _, name := range names {
		if got := told(ask(t, r, query(name, miekg.TypeA))); got != "NOERROR 203.0.113.5" {
			t.Errorf("%s: %s", name, got)
		}
	}
	r.Learn(dns.ZoneOf(hospitalMap()), names, nil, false)
	if got := told(ask(t, r, query("ehr."+domain, miekg.TypeA))); got != "SERVFAIL" {
		t.Errorf("without a resolver of this machine's: %s", got)
	}
}

// Only an answer to the question counts, whoever else speaks.
func TestWrongAnswersAreNotTaken(t *testing.T) {
	const name = "www.hospital.example"
	u := newUpstream(t, func(_ string, q *miekg.Msg) []*miekg.Msg {
		wrongID, other, kind, ask := with(q, name+". 9 IN A 192.0.2.1"), with(q, name+". 9 IN A 192.0.2.2"), with(q, name+". 9 IN A 192.0.2.3"), q.Copy()
		wrongID.Id ^= 1
		other.Question[0].Name = "evil.example."
		kind.Question = []miekg.Question{{Name: q.Question[0].Name, Qtype: miekg.TypeTXT, Qclass: 1}}
		return []*miekg.Msg{wrongID, other, kind, ask, with(q, name+". 9 IN A 192.0.2.9")}
	})
	r := responder(route("hospital.example", u.at))
	if got := told(ask(t, r, query(name, miekg.TypeA))); got != "NOERROR 192.0.2.9" {
		t.Error(got)
	}
}

// Every question has another number and another port, and tells the resolver
// nothing of the asker but the question.
func TestQuestionsAreHardToGuess(t *testing.T) {
	u := newUpstream(t, always())
	r := responder(route("hospital.example", u.at))
	for range 16 {
		q := query("www.hospital.example", miekg.TypeA)
		q.Id = 7
		q.SetEdns0(4096, true)
		q.IsEdns0().Option = append(q.IsEdns0().Option, &miekg.EDNS0_SUBNET{Code: miekg.EDNS0SUBNET, Family: 1, SourceNetmask: 32, Address: net.IPv4(100, 64, 0, 1)})
		ask(t, r, q)
	}
	ids, ports := map[uint16]bool{}, map[uint16]bool{}
	u.mu.Lock()
	defer u.mu.Unlock()
	for i, q := range u.asked {
		ids[q.Id], ports[u.from[i].Port()] = true, true
		if opt := q.IsEdns0(); opt == nil || len(opt.Option) > 0 || opt.UDPSize() != 1232 || !opt.Do() {
			t.Fatalf("the resolver was told %v", opt)
		}
	}
	if len(ids) < 12 || len(ports) < 12 {
		t.Errorf("16 questions had %d numbers and %d ports", len(ids), len(ports))
	}
}

// An answer that does not fit UDP is fetched by TCP.
func TestCutAnswersAreFetchedWhole(t *testing.T) {
	u := newUpstream(t, func(network string, q *miekg.Msg) []*miekg.Msg {
		m := with(q, "www.hospital.example. 9 IN A 192.0.2.9")
		if m.Truncated = network == "udp"; m.Truncated {
			m.Answer = nil
		}
		return []*miekg.Msg{m}
	})
	m := ask(t, responder(route("hospital.example", u.at)), query("www.hospital.example", miekg.TypeA))
	if told(m) != "NOERROR 192.0.2.9" || m.Truncated {
		t.Error(told(m), m.Truncated)
	}
}

// A resolver that is not there, does not know or does not answer has the next one
// asked; when none is left, that is the answer, in bounded time.
func TestNextResolverIsAsked(t *testing.T) {
	fails := newUpstream(t, func(_ string, q *miekg.Msg) []*miekg.Msg {
		return []*miekg.Msg{new(miekg.Msg).SetRcode(q, miekg.RcodeServerFailure)}
	})
	mute, good := newUpstream(t, silence), newUpstream(t, always("x. 9 IN A 192.0.2.9"))
	nobody := netip.MustParseAddrPort("127.0.0.1:9")
	r := responder(route("a.example", nobody, fails.at, good.at), route("b.example", mute.at), route("c.example", fails.at))
	if got := told(ask(t, r, query("a.example", miekg.TypeA))); got != "NOERROR 192.0.2.9" {
		t.Error("behind two that do not help:", got)
	}
	if got := told(ask(t, r, query("c.example", miekg.TypeA))); got != "SERVFAIL" {
		t.Error("all fail:", got)
	}
	began := time.Now()
	if got := told(ask(t, r, query("b.example", miekg.TypeA))); got != "SERVFAIL" || time.Since(began) > 20*time.Second {
		t.Error("nobody answers:", got, time.Since(began))
	}
}

// However many ask, only so many wait for others' answers at one time; the rest
// is told so at once, and the mesh's own names are answered all the while.
func TestWaitingIsBounded(t *testing.T) {
	hold := make(chan struct{})
	u := newUpstream(t, func(_ string, q *miekg.Msg) []*miekg.Msg {
		<-hold
		return []*miekg.Msg{with(q, "x. 9 IN A 192.0.2.9")}
	})
	r := responder(route("hospital.example", u.at))
	q := packed(t, query("www.hospital.example", miekg.TypeA))
	answers := make(chan []byte, dns.MaxAsked)
	for range dns.MaxAsked {
		go func() { answers <- r.Handle(t.Context(), q, false) }()
	}
	refused := func() bool { return told(ask(t, r, query("other.hospital.example", miekg.TypeA))) == "SERVFAIL" }
	for deadline := time.Now().Add(20 * time.Second); len(answers) == 0; {
		began := time.Now()
		if refused() && time.Since(began) < time.Second {
			break // all places are taken
		}
		if time.Now().After(deadline) {
			t.Fatal("nobody was refused")
		}
	}
	if got := told(ask(t, r, query("ehr."+domain, miekg.TypeA))); got != "NOERROR 100.64.0.2" {
		t.Error("meanwhile a peer:", got)
	}
	close(hold)
	for range dns.MaxAsked {
		<-answers
	}
	if n := u.count(); n > 40 {
		t.Errorf("the resolver was asked %d times for one name, want few: who asks the same waits for the same", n)
	}
}

// A page of the Internet cannot point its name into the mesh; a resolver that an
// admin named for a domain may.
func TestNamesOfOthersDoNotLeadIntoTheMesh(t *testing.T) {
	for _, record := range []string{
		"evil.example. 9 IN A 100.64.0.2", "evil.example. 9 IN AAAA fd00:1::2", "evil.example. 9 IN AAAA ::ffff:100.64.0.2",
		"evil.example. 9 IN HTTPS 1 . ipv4hint=100.64.0.2", "evil.example. 9 IN SVCB 1 . ipv6hint=fd00:1::2",
	} {
		u := newUpstream(t, always("evil.example. 9 IN CNAME a.evil.example.", record))
		r := dns.NewResponder([]dns.Route{route("hospital.example", u.at)})
		r.Learn(dns.ZoneOf(hospitalMap()), nil, []netip.AddrPort{u.at}, true)
		rr, _ := miekg.NewRR(record)
		if m := ask(t, r, query("evil.example", rr.Header().Rrtype)); m.Rcode != miekg.RcodeSuccess || len(m.Answer) > 0 {
			t.Errorf("%s: %v", record, m.Answer)
		}
		if m := ask(t, r, query("www.hospital.example", rr.Header().Rrtype)); len(m.Answer) != 2 {
			t.Errorf("%s, of a route: %v", record, m.Answer)
		}
	}
	u := newUpstream(t, always("good.example. 9 IN A 192.0.2.1"))
	r := dns.NewResponder(nil)
	r.Learn(dns.ZoneOf(hospitalMap()), nil, []netip.AddrPort{u.at}, true)
	if got := told(ask(t, r, query("good.example", miekg.TypeA))); got != "NOERROR 192.0.2.1" {
		t.Error(got)
	}
}
