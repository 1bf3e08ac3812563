package integration

import (
	"context"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/integration/lab"
	"github.com/cordonmesh/cordon/node/local"
)

// raiseFarDesk makes a mesh at whose coordinator people sign in and a directory
// provisions: nina's laptop, which reaches its peers by a relay alone, the record
// system, and a pump behind a gateway.
func raiseFarDesk(t *testing.T) *scene {
	t.Helper()
	if !lab.Require(t) {
		return nil
	}
	s := &scene{t: t, programs: lab.Build(t), nodes: map[string]*lab.Daemon{}}
	s.Lab = lab.Up(t, wing())
	hub := s.Host("hub")
	s.serving = append(serveProvider(t, hub, "https://"+netip.AddrPortFrom(hub.Addr4(), 8443).String()), "--scim")
	s.found(wingPolicy(""), member{name: "ward", owner: "nina@hospital.example", args: []string{"--only-443"}}, member{name: "ehr", owner: "tag:ehr"},
		member{name: "gw", owner: "tag:gateway", args: []string{"--advertise", "10.20.0.0/24", "--advertise", "fd20::/64"}})
	return s
}

// resting is a person's connection to a server over which nothing goes for as long as
// it rests, and a UDP flow beside it.
type resting struct {
	*streams
	rests  atomic.Bool
	server *net.UDPConn
	client net.Conn
}

func (s *scene) rest(from, server string) *resting {
	s.t.Helper()
	ctx, cancel := context.WithCancel(s.t.Context())
	r := &resting{streams: &streams{cancel: cancel}}
	s.t.Cleanup(r.stop)
	at := s.at(server, 443)[0]
	l := s.Host(server).Listen(at)
	defer l.Close()
	dialled, err := s.Host(from).Dial(ctx, "tcp", at)
	if err != nil {
		s.t.Fatal(err)
	}
	accepted, err := l.Accept()
	if err != nil {
		s.t.Fatal(err)
	}
	speaks := func() bool { return !r.rests.Load() }
	r.duplexWhile(ctx, accepted, r.add("TCP to %s", server), speaks)
	r.duplexWhile(ctx, dialled, r.add("TCP from %s", server), speaks)
	r.carry(s.t)
	r.server = s.Host(server).ListenUDP(netip.AddrPortFrom(at.Addr(), 5000))
	if r.client, err = s.Host(from).Dial(ctx, "udp", netip.AddrPortFrom(at.Addr(), 5000)); err != nil {
		s.t.Fatal(err)
	}
	r.rests.Store(true)
	return r
}

// word sends a word over the UDP flow and back, as far as it comes.
func (r *resting) word() (there, back bool) {
	buf := make([]byte, 64)
	r.client.Write([]byte("there"))
	r.server.SetReadDeadline(time.Now().Add(quiet))
	n, who, err := r.server.ReadFromUDPAddrPort(buf)
	if err == nil && n > 0 {
		r.server.WriteToUDPAddrPort([]byte("back"), who)
	}
	r.client.SetReadDeadline(time.Now().Add(quiet))
	n, err2 := r.client.Read(buf)
	return err == nil, err2 == nil && n > 0
}

// What runs of a leaver ends also where a relay carries it, and a gateway to a device
// that knows of no mesh; and what rested meanwhile, which no packet had judged since,
// does not wake.
func TestLeaversFarFlowsEnd_A18(t *testing.T) {
	t.Parallel()
	s := raiseFarDesk(t)
	if s == nil {
		return
	}
	lab.Eventually(t, patience, "the routes are advertised", func() (bool, string) {
		out, err := s.coordinator.TryCtl("", "route", "approve", "gw", "fd20::/64")
		return err == nil, out
	})
	s.approve()
	d := s.directory()
	nina := "/Users/" + d.send("POST", "/Users", `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"nina@hospital.example","externalId":"sub-nina","active":true}`)
	leave := map[string]func(){
		"disabled by the directory": func() { d.patch(nina, `{"op":"replace","path":"active","value":false}`) },
		"disabled here":             func() { s.coordinator.Ctl("user", "disable", "nina@hospital.example") },
		"deleted by the directory":  func() { d.send("DELETE", nina, "") },
	}
	for _, how := range []string{"disabled by the directory", "disabled here", "deleted by the directory"} {
		if _, told := s.login("ward", "nina"); told.State != local.LoginDone {
			t.Fatalf("%s: signed in: %+v", how, told)
		}
		s.answered("ward", s.nodes["ehr"].Mesh4())
		far := startStreams(t, s.Host("ward"), s.Host("pump"), netip.MustParseAddr("10.20.0.9"), netip.MustParseAddr("fd20::9"))
		s.reached("ward", "gw", local.PathRelay)
		rests := s.rest("ward", "ehr")
		if there, back := rests.word(); !there || !back {
			t.Fatalf("%s: UDP of who is in comes %t, %t", how, there, back)
		}
		time.Sleep(quiet)
		leave[how]()
		since := time.Now()
		far.ended(t, since)
		rests.rests.Store(false)
		rests.ended(t, since)
		if there, back := rests.word(); there || back {
			t.Errorf("%s: UDP of who is out comes %t, %t", how, there, back)
		}
		far.stop()
		rests.stop()
		rests.server.Close()
		rests.client.Close()
		if how == "disabled by the directory" {
			d.patch(nina, `{"op":"replace","path":"active","value":true}`)
		}
		s.coordinator.Ctl("user", "enable", "nina@hospital.example")
	}
}
