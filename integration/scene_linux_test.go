package integration

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/cordonmesh/cordon/coordinator/admin"
	"github.com/cordonmesh/cordon/integration/lab"
	"github.com/cordonmesh/cordon/node/local"
)

const (
	// tun is what a daemon calls its interface if it is not told.
	tun = "cordon0"
	// patience bounds a wait for what must come; it is not what we promise.
	patience = 30 * time.Second
	// quiet is how long a test listens for what must not come, after it has
	// seen that what may come does.
	quiet = 500 * time.Millisecond
)

// member is a machine that joins: name, and its user or tag.
type member struct {
	name, owner string
	args        []string
}

// scene is a mesh of the built programs in a lab.
type scene struct {
	*lab.Lab
	t           *testing.T
	programs    lab.Programs
	coordinator *lab.Coordinator
	admin       *admin.Client
	nodes       map[string]*lab.Daemon
	named       string   // by which nodes look for the coordinator; empty: its address
	serving     []string // more flags of the coordinator's
}

// raise makes a mesh on one segment with the coordinator on "hub".
func raise(t *testing.T, policy string, members ...member) *scene {
	t.Helper()
	names := []string{"hub"}
	for _, m := range members {
		names = append(names, m.name)
	}
	return raiseOn(t, lab.Segment(names...), policy, members...)
}

// raiseOn makes a mesh on a topology with a machine "hub"; it is up when every
// member enforces its map. Without root it is nil, and the test ends.
func raiseOn(t *testing.T, top lab.Topology, policy string, members ...member) *scene {
	t.Helper()
	if !lab.Require(t) {
		return nil
	}
	s := &scene{t: t, programs: lab.Build(t), nodes: map[string]*lab.Daemon{}}
	s.Lab = lab.Up(t, top)
	s.found(policy, members...)
	return s
}

// found makes the mesh in the lab that stands.
func (s *scene) found(policy string, members ...member) {
	s.t.Helper()
	hub := s.Host("hub")
	s.coordinator = s.programs.StartNamedCoordinator(hub, s.named, netip.AddrPortFrom(hub.Addr4(), 8443), s.serving...)
	s.admin = admin.NewSocketClient(s.coordinator.Socket())
	s.t.Cleanup(s.admin.Close)
	s.coordinator.SetPolicy(policy)
	for _, m := range members {
		s.join(m)
	}
	s.settle()
}

func (s *scene) join(m member) *lab.Daemon {
	s.t.Helper()
	d := s.programs.StartDaemon(s.Host(m.name), m.args...)
	d.Up(s.coordinator.Token(m.owner))
	s.nodes[m.name] = d
	return d
}

// settle waits until every connected node enforces what it should, and gives
// the moment. That is what the product calls an acknowledged change.
func (s *scene) settle() time.Time {
	s.t.Helper()
	lab.Eventually(s.t, patience, "the mesh settles", func() (bool, string) {
		r, err := s.admin.Status(s.t.Context(), connect.NewRequest(&admin.StatusRequest{}))
		if err != nil {
			return false, err.Error()
		}
		m := r.Msg
		return m.Connected >= uint32(len(s.nodes)) && m.Acknowledged == m.Connected, fmt.Sprint(m)
	})
	return time.Now()
}

// setPolicy puts a policy in force and gives the moment when all obey it.
func (s *scene) setPolicy(text string) time.Time {
	s.t.Helper()
	s.coordinator.SetPolicy(text)
	return s.settle()
}

// at gives a node's mesh addresses with a port, IPv4 first.
func (s *scene) at(name string, port uint16) []netip.AddrPort {
	s.t.Helper()
	d := s.nodes[name]
	return []netip.AddrPort{netip.AddrPortFrom(d.Mesh4(), port), netip.AddrPortFrom(d.Mesh6(), port)}
}

// family names an address's family in a sub-test.
func family(a netip.Addr) string {
	if a.Is4() {
		return "IPv4"
	}
	return "IPv6"
}

// answered asks until a host gets an answer to a ping: tunnels in both
// directions stand.
func (s *scene) answered(from string, to netip.Addr) {
	s.t.Helper()
	lab.Eventually(s.t, patience, from+" reaches "+to.String(), func() (bool, string) {
		n, err := s.Host(from).Ping(s.t.Context(), to, 1)
		return n > 0, fmt.Sprint("no answer: ", err)
	})
}

// refused dials, and fails the test unless the answer is a refusal of one of
// the kinds, far sooner than a timeout.
func (s *scene) refused(from, network string, to netip.AddrPort, kinds ...syscall.Errno) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	began := time.Now()
	err := s.exchange(ctx, from, network, to)
	if took := time.Since(began); took > 5*time.Second {
		s.t.Errorf("%s %s from %s was refused after %s, want at once", network, to, from, took)
	}
	for _, k := range kinds {
		if errors.Is(err, k) {
			return
		}
	}
	s.t.Errorf("%s %s from %s: %v, want one of %v", network, to, from, err, kinds)
}

// exchange connects, says a word and waits for the answer.
func (s *scene) exchange(ctx context.Context, from, network string, to netip.AddrPort) error {
	conn, err := s.Host(from).Dial(ctx, network, to)
	if err != nil {
		return err
	}
	defer conn.Close()
	end, _ := ctx.Deadline()
	conn.SetDeadline(end)
	word := []byte("a word")
	if _, err := conn.Write(word); err != nil {
		return err
	}
	_, err = conn.Read(word)
	return err
}

// served fails the test unless a word is answered. Its first packet may wait
// for a tunnel.
func (s *scene) served(from, network string, to netip.AddrPort) {
	s.t.Helper()
	lab.Eventually(s.t, patience, fmt.Sprintf("%s %s answers %s", network, to, from), func() (bool, string) {
		ctx, cancel := context.WithTimeout(s.t.Context(), 3*time.Second)
		defer cancel()
		err := s.exchange(ctx, from, network, to)
		return err == nil, fmt.Sprint(err)
	})
}

// serve answers on TCP and UDP on a port of every address of a host.
func (s *scene) serve(host string, ports ...uint16) {
	s.t.Helper()
	for _, port := range ports {
		at := netip.AddrPortFrom(netip.IPv6Unspecified(), port)
		s.Host(host).ServeEcho(at)
		s.Host(host).EchoUDP(at)
	}
}

// refusal finds in a node's status why it refused something to a destination.
func refusal(st *local.Status, to netip.AddrPort) (local.Refusal, bool) {
	for _, r := range st.Refusals {
		if r.Dst == to {
			return r, true
		}
	}
	return local.Refusal{}, false
}
