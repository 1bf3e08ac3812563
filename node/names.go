package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"

	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/node/internal/control"
	"github.com/cordonmesh/cordon/node/internal/dns"
	"github.com/cordonmesh/cordon/node/local"
)

// Names is how this machine's programs find peers by name.
type Names struct {
	Mode   string // off, auto, resolved, file or serve; empty: off
	Routes []NameRoute
}

// NameRoute sends the names of one domain to resolvers of its own.
type NameRoute = dns.Route

// ParseNameRoute reads "DOMAIN=SERVER[,SERVER]", such as
// "hospital.example=10.0.0.53,10.0.1.53"; a server may have a port.
func ParseNameRoute(text string) (NameRoute, error) {
	r, err := dns.ParseRoute(text)
	if err != nil {
		return r, fmt.Errorf("dns-route: %q is not allowed: %w", text, err)
	}
	return r, nil
}

func (n *Names) validate(userspace bool) error {
	mode, err := dns.ParseMode(n.Mode)
	switch {
	case err != nil:
		return fmt.Errorf("dns: %w", err)
	case userspace && mode != dns.Off:
		return errors.New("dns needs a TUN: a rootless node resolves peers' names at its own doors; leave out --userspace, or dns")
	case mode == dns.Off && len(n.Routes) > 0:
		return errors.New("dns-route: nothing asks for names while dns is off: add --dns")
	}
	if err := dns.CheckRoutes(n.Routes); err != nil {
		return fmt.Errorf("dns-route: %w", err)
	}
	return nil
}

// RestoreResolver takes out what a killed daemon left in the machine's resolver,
// and tells whether there was something. It does nothing to what systemd-resolved
// was told, which goes with the interface.
func RestoreResolver(iface string) (bool, error) { return dns.Restore(dns.ResolvConf, iface) }

// tidyResolver is RestoreResolver for a daemon that starts: it is not told to
// use names, perhaps, as the one before was.
func (n *Node) tidyResolver() {
	if n.cfg.Userspace {
		return
	}
	switch there, err := RestoreResolver(n.cfg.Interface); {
	case err != nil:
		n.log.Warn("looking for what a killed daemon left in the machine's resolver failed", "error", err)
	case there:
		n.log.Info("took out what a killed daemon left in the machine's resolver", "file", dns.ResolvConf)
	}
}

// names is a mesh's dns.Names, or nothing where they are off.
type names struct {
	answers     *dns.Names // nil: off
	coordinator string
}

func newNames(c Config, id *control.Identity) (n names, err error) {
	mode, err := dns.ParseMode(c.Names.Mode)
	if err != nil || mode == dns.Off {
		return n, err
	}
	if n.answers, err = dns.New(dns.Config{Mode: mode, Interface: c.Interface, Routes: c.Names.Routes, Log: c.Log}); err != nil {
		return n, err
	}
	n.coordinator = id.URL
	n.setRelays(wire.RelayOffer{})
	return n, nil
}

// run answers until ctx is done.
func (n names) run(ctx context.Context) error {
	if n.answers == nil {
		return nil
	}
	return n.answers.Run(ctx)
}

func (n names) setMap(m wire.Map) {
	if n.answers != nil {
		n.answers.SetMap(m)
	}
}

// setRelays names those whom this node must find without the mesh.
func (n names) setRelays(o wire.RelayOffer) {
	if n.answers == nil {
		return
	}
	hosts := []string{hostOf(n.coordinator)}
	for _, r := range o.Relays {
		hosts = append(hosts, hostOf(r.URL))
	}
	n.answers.SetDirect(hosts)
}

func hostOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return strings.ToLower(u.Hostname())
}

// wake has the machine's resolver looked at, since the interface may be another.
func (n names) wake() {
	if n.answers != nil {
		n.answers.Wake()
	}
}

// resolver is for what this node itself looks up, the coordinator, relays and STUN
// servers: its questions go beneath the tunnel, and past the node's own answers.
func (m *mesh) resolver() *net.Resolver {
	beneath, answers := m.world.beneath(), m.names.answers
	r := beneath.Resolver()
	if beneath == nil || answers == nil {
		return r
	}
	dial := r.Dial
	r.Dial = func(ctx context.Context, network, server string) (net.Conn, error) {
		return dial(ctx, network, answers.Beside(server))
	}
	return r
}

// describe tells how names are answered, and warns of what is not as an admin
// asked. With "auto" it is no fault that a machine has no systemd-resolved.
func (n names) describe(s *local.Status) {
	s.Names.Mode = string(dns.Off)
	if n.answers == nil {
		return
	}
	s.Names = n.answers.Status()
	if s.Names.Problem != "" && (s.Names.Via != "" || s.Names.Mode != string(dns.Auto)) {
		s.Warnings = append(s.Warnings, "names: "+s.Names.Problem)
	}
}
