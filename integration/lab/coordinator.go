//go:build linux

package lab

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// patience is how long the lab waits for a program to do what it will do at
// once on a quiet machine. It is a bound on hanging, not a promise.
const patience = 30 * time.Second

// Coordinator is a running cordon-coordinator.
type Coordinator struct {
	Host     *Host
	State    string // directory
	Address  netip.AddrPort
	Name     string // by which nodes look for it; empty: they know its address
	Metrics  netip.AddrPort
	Process  *Process
	Recovery string // the key that opens backups, as init showed it
	Root     string // fingerprint of the mesh root

	programs Programs
	args     []string
}

// StartCoordinator makes a mesh, serves it at the address, and returns when the
// coordinator answers on its admin socket. Metrics are on the next port.
func (p Programs) StartCoordinator(h *Host, at netip.AddrPort) *Coordinator {
	h.lab.t.Helper()
	return p.StartNamedCoordinator(h, "", at)
}

// StartNamedCoordinator is StartCoordinator for nodes that are told a name. Args
// are more flags of `cordon-coordinator serve`.
func (p Programs) StartNamedCoordinator(h *Host, name string, at netip.AddrPort, args ...string) *Coordinator {
	h.lab.t.Helper()
	c := &Coordinator{
		Host: h, programs: p, args: args, Name: name, Address: at, State: h.lab.Dir(h.Name + "-coordinator"),
		Metrics: netip.AddrPortFrom(at.Addr(), at.Port()+1),
	}
	out := h.MustRun(p.Path("cordon-coordinator"), "init", "--state", c.State, "--url", c.URL())
	c.Recovery = regexp.MustCompile(`AGE-SECRET-KEY-[0-9A-Z]+`).FindString(out)
	c.Root = regexp.MustCompile(`\b[0-9a-f]{64}\b`).FindString(out)
	c.Start()
	return c
}

// URL is what nodes are told.
func (c *Coordinator) URL() string {
	if c.Name != "" {
		return fmt.Sprintf("https://%s:%d", c.Name, c.Address.Port())
	}
	return "https://" + c.Address.String()
}

// Socket is the admin API's.
func (c *Coordinator) Socket() string { return filepath.Join(c.State, "admin.sock") }

// Start serves, for the first time or again after Process.Kill or Stop.
func (c *Coordinator) Start() {
	t := c.Host.lab.t
	t.Helper()
	c.Serve()
	Eventually(t, patience, "the coordinator answers", func() (bool, string) {
		if ended, err := c.Process.Exited(); ended {
			t.Fatalf("the coordinator ended: %v", err)
		}
		_, err := c.TryCtl("", "status")
		return err == nil, fmt.Sprint(err)
	})
}

// Serve is Start that does not wait for an answer.
func (c *Coordinator) Serve() *Process {
	c.Host.lab.t.Helper()
	args := append([]string{"serve", "--state", c.State, "--listen", c.Address.String(), "--metrics", c.Metrics.String()}, c.args...)
	c.Process = c.Host.Start("coordinator", c.programs.Path("cordon-coordinator"), args...)
	return c.Process
}

// TryCtl runs cordonctl against the coordinator, with text on standard input.
func (c *Coordinator) TryCtl(input string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.Host.lab.t.Context()), patience)
	defer cancel()
	return c.Host.RunInput(ctx, input, c.programs.Path("cordonctl"), append([]string{"--socket", c.Socket()}, args...)...)
}

// Ctl is TryCtl that fails the test.
func (c *Coordinator) Ctl(args ...string) string {
	c.Host.lab.t.Helper()
	out, err := c.TryCtl("", args...)
	if err != nil {
		c.Host.lab.t.Fatalf("%v", err)
	}
	return out
}

// SetPolicy puts a policy in force.
func (c *Coordinator) SetPolicy(text string) {
	c.Host.lab.t.Helper()
	if _, err := c.TryCtl(text, "policy", "set", "--yes", "-"); err != nil {
		c.Host.lab.t.Fatalf("%v", err)
	}
}

// Token mints an enrolment string: for a user if owner holds an "@", else for a tag.
func (c *Coordinator) Token(owner string, more ...string) string {
	t := c.Host.lab.t
	t.Helper()
	flag := "--tag"
	if strings.Contains(owner, "@") {
		flag = "--user"
	}
	out := c.Ctl(append([]string{"--json", "token", "create", flag, owner}, more...)...)
	var answer struct {
		Text string `json:"text"`
	}
	if err := json.Unmarshal([]byte(out), &answer); err != nil || !strings.HasPrefix(answer.Text, "cordon:") {
		t.Fatalf("mint a token for %s: the answer holds no enrolment string (%v)", owner, err)
	}
	return answer.Text
}
