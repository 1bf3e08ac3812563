//go:build linux

package lab

import (
	"fmt"
	"strings"
)

// Relay is a cordon-relay on a host of its own, with a STUN responder.
type Relay struct {
	Host    *Host
	Name    string
	Process *Process // nil before Start

	programs Programs
	state    string
}

// Relay prepares a relay on the host, named after it. A coordinator is told of it
// by Flag; then Start serves that coordinator's mesh.
func (p Programs) Relay(h *Host) *Relay {
	h.lab.t.Helper()
	return &Relay{Host: h, Name: h.Name, programs: p, state: h.lab.Dir(h.Name + "-relay")}
}

// Flag is what a coordinator's --relay is given.
func (r *Relay) Flag() string {
	r.Host.lab.t.Helper()
	pin := strings.TrimSpace(r.Host.MustRun(r.programs.Path("cordon-relay"), "pin", "--state", r.state))
	return fmt.Sprintf("%s=https://%s/relay#%s", r.Name, r.Host.Addr4(), pin)
}

// Start serves the nodes of a mesh.
func (r *Relay) Start(c *Coordinator) {
	r.Host.lab.t.Helper()
	r.Process = r.Host.Start("relay", r.programs.Path("cordon-relay"), "serve", "--state", r.state, "--mesh-root", c.Root)
}
