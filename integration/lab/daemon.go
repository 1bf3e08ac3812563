//go:build linux

package lab

import (
	"context"
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
	"time"

	"github.com/cordonmesh/cordon/node/local"
)

// Daemon is a running `cordon daemon`: a node, once it is up.
type Daemon struct {
	Host    *Host
	Name    string // its wished name in the mesh
	State   string // directory
	Process *Process

	programs Programs
	args     []string
}

// StartDaemon starts a daemon on the host, named after it, and returns when it
// answers on its socket. Args are more flags of `cordon daemon`, such as
// "--userspace". The drawing of a failed test tells what the daemon says of its
// peers.
func (p Programs) StartDaemon(h *Host, args ...string) *Daemon {
	h.lab.t.Helper()
	d := &Daemon{Host: h, Name: h.Name, State: h.lab.Dir(h.Name + "-node"), programs: p, args: args}
	h.lab.Report(d.report)
	d.Start()
	return d
}

// SetArgs gives the daemon other flags from the next start on.
func (d *Daemon) SetArgs(args ...string) { d.args = args }

// Socket is the local API's. Unix sockets belong to the file system, so the
// test can use it from outside the host's network.
func (d *Daemon) Socket() string { return filepath.Join(d.State, "cordon.sock") }

// Start runs the daemon, for the first time or again after Process.Kill or Stop.
func (d *Daemon) Start() {
	t := d.Host.lab.t
	t.Helper()
	args := append([]string{"--socket", d.Socket(), "daemon", "--state", d.State}, d.args...)
	d.Process = d.Host.Start("node", d.programs.Path("cordon"), args...)
	Eventually(t, patience, "the daemon on "+d.Host.Name+" answers", func() (bool, string) {
		if ended, err := d.Process.Exited(); ended {
			t.Fatalf("the daemon on %s ended: %v", d.Host.Name, err)
		}
		_, err := d.Status()
		return err == nil, fmt.Sprint(err)
	})
}

// TryCLI runs the user's command line against the daemon, with text on
// standard input.
func (d *Daemon) TryCLI(input string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(d.Host.lab.t.Context()), patience)
	defer cancel()
	return d.Host.RunInput(ctx, input, d.programs.Path("cordon"), append([]string{"--socket", d.Socket()}, args...)...)
}

// Up joins the mesh with an enrolment string, or fails the test.
func (d *Daemon) Up(enrolment string) {
	d.Host.lab.t.Helper()
	if _, err := d.TryCLI(enrolment+"\n", "up", "--name", d.Name); err != nil {
		d.Host.lab.t.Fatalf("%v", err)
	}
}

// Status asks the daemon what it is doing.
func (d *Daemon) Status() (*local.Status, error) {
	// Not under the test's context: a failed test's drawing asks after its end,
	// perhaps of a daemon that hangs.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(d.Host.lab.t.Context()), 5*time.Second)
	defer cancel()
	c := local.NewClient(d.Socket())
	defer c.Close()
	return c.Status(ctx)
}

// Wait asks until the status is as wanted, or fails the test with the last one.
func (d *Daemon) Wait(what string, want func(*local.Status) bool) *local.Status {
	d.Host.lab.t.Helper()
	var last *local.Status
	Eventually(d.Host.lab.t, patience, d.Host.Name+": "+what, func() (bool, string) {
		s, err := d.Status()
		if err != nil {
			return false, err.Error()
		}
		last = s
		return want(s), fmt.Sprintf("%+v", *s)
	})
	return last
}

// WaitPaths waits until the daemon has a path to each of the named peers.
func (d *Daemon) WaitPaths(peers ...string) {
	d.Host.lab.t.Helper()
	d.Wait("paths to "+strings.Join(peers, ", "), func(s *local.Status) bool {
		for _, name := range peers {
			if p, ok := FindPeer(s, name); !ok || p.Path == "none" || p.Path == "" {
				return false
			}
		}
		return true
	})
}

// WaitRevision waits until the daemon enforces at least that revision.
func (d *Daemon) WaitRevision(revision uint64) {
	d.Host.lab.t.Helper()
	d.Wait(fmt.Sprintf("revision %d", revision), func(s *local.Status) bool {
		return s.State == local.StateRunning && s.Map.Revision >= revision
	})
}

// FindPeer gives the peer of that name.
func FindPeer(s *local.Status, name string) (local.Peer, bool) {
	for _, p := range s.Peers {
		if p.Name == name {
			return p, true
		}
	}
	return local.Peer{}, false
}

// Mesh4 and Mesh6 give the node's mesh address of that family, or fail the test.
func (d *Daemon) Mesh4() netip.Addr { d.Host.lab.t.Helper(); return d.mesh("IPv4", netip.Addr.Is4) }

// Mesh6 is as [Daemon.Mesh4].
func (d *Daemon) Mesh6() netip.Addr { d.Host.lab.t.Helper(); return d.mesh("IPv6", netip.Addr.Is6) }

func (d *Daemon) mesh(family string, is func(netip.Addr) bool) netip.Addr {
	d.Host.lab.t.Helper()
	s, err := d.Status()
	if err != nil {
		d.Host.lab.t.Fatalf("the mesh address of %s: %v", d.Host.Name, err)
	}
	for _, a := range s.Addresses {
		if is(a) {
			return a
		}
	}
	d.Host.lab.t.Fatalf("node %s has no %s mesh address: %v", d.Host.Name, family, s.Addresses)
	return netip.Addr{}
}

// report draws the node and its paths, as the daemon tells them.
func (d *Daemon) report() string {
	s, err := d.Status()
	if err != nil {
		return fmt.Sprintf("node %s: says nothing: %v\n", d.Host.Name, err)
	}
	var b strings.Builder
	control := "connected"
	if !s.Coordinator.Connected {
		control = "not connected: " + s.Coordinator.Error
	}
	fmt.Fprintf(&b, "node %s %v: %s, revision %d, coordinator %s\n", s.Name, s.Addresses, s.State, s.Map.Revision, control)
	for _, p := range s.Peers {
		if p.Path == "direct" {
			fmt.Fprintf(&b, "  %s ===%s===> %s (%s, %s, sent %d, received %d)\n", s.Name, p.Path, p.Name, p.Endpoint, p.RTT, p.Sent, p.Received)
		} else {
			fmt.Fprintf(&b, "  %s - - %s - -> %s (%s)\n", s.Name, p.Path, p.Name, p.Why)
		}
	}
	for _, r := range s.Refusals {
		fmt.Fprintf(&b, "  %s refused %d x %s %s > %s: %s\n", s.Name, r.Count, r.Protocol, r.Src, r.Dst, r.Reason)
	}
	return b.String()
}
