//go:build linux

package lab

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
)

// Host is a running machine of the lab.
type Host struct {
	Name string

	lab     *Lab
	ns      *namespace
	machine Machine
}

// Namespace is the name under which ip(8) knows the host's network.
func (h *Host) Namespace() string { return h.ns.name }

// Addr4 and Addr6 give the first address of that family in the topology; a host
// without one fails the test.
func (h *Host) Addr4() netip.Addr { h.lab.t.Helper(); return h.addr("IPv4", netip.Addr.Is4) }

// Addr6 is as [Host.Addr4].
func (h *Host) Addr6() netip.Addr { h.lab.t.Helper(); return h.addr("IPv6", netip.Addr.Is6) }

// OuterAddr4 gives the first IPv4 address of the last link: of a router of an
// [Internet], the one that the world sees.
func (h *Host) OuterAddr4() netip.Addr {
	h.lab.t.Helper()
	links := h.machine.Links
	for _, a := range links[len(links)-1].Addresses {
		if p := netip.MustParsePrefix(a); p.Addr().Is4() {
			return p.Addr()
		}
	}
	h.lab.t.Fatalf("machine %s has no IPv4 address outside", h.Name)
	return netip.Addr{}
}

// addresses are those that the topology gives to the host.
func (h *Host) addresses() (list []netip.Addr) {
	for _, link := range h.machine.Links {
		for _, a := range link.Addresses {
			list = append(list, netip.MustParsePrefix(a).Addr())
		}
	}
	return list
}

func (h *Host) addr(family string, is func(netip.Addr) bool) netip.Addr {
	h.lab.t.Helper()
	if all := h.addresses(); slices.ContainsFunc(all, is) {
		return all[slices.IndexFunc(all, is)]
	}
	h.lab.t.Fatalf("machine %s has no %s address", h.Name, family)
	return netip.Addr{}
}

// Do runs f with the calling goroutine inside the host's network: sockets that
// f itself opens belong to it for life. Goroutines that f starts, the resolver
// among them, are outside.
func (h *Host) Do(f func() error) error { return h.ns.do(f) }

// Command prepares a command inside the host's network. It dies with the
// context and with the test process.
func (h *Host) Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	argv := h.argv(name, args)
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), h.machine.Env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// argv is the command line that runs a program inside the host's network. Each
// step of it makes way for the next, so that the program has the process id.
// ip(8) gives it mounts of its own, in which the lab's names may stand.
func (h *Host) argv(name string, args []string) []string {
	argv := []string{"ip", "netns", "exec", h.ns.name}
	if len(h.lab.top.Names) > 0 {
		argv = append(argv, "sh", "-c", `mount --bind "$0" /etc/hosts && exec "$@"`, h.lab.namesFile())
	}
	return append(append(argv, name), args...)
}

// Run runs a command to its end and gives what it wrote to both outputs.
func (h *Host) Run(ctx context.Context, name string, args ...string) (string, error) {
	return h.RunInput(ctx, "", name, args...)
}

// RunInput is Run with text on standard input, where secrets belong.
func (h *Host) RunInput(ctx context.Context, input, name string, args ...string) (string, error) {
	cmd := h.Command(ctx, name, args...)
	cmd.Stdin = strings.NewReader(input)
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("on %s: %s %s: %w: %s", h.Name, name, strings.Join(args, " "), err, tail(string(out), 10))
	}
	return string(out), err
}

// MustRun is Run under the test's context; a failure fails the test.
func (h *Host) MustRun(name string, args ...string) string {
	h.lab.t.Helper()
	out, err := h.Run(h.lab.t.Context(), name, args...)
	if err != nil {
		h.lab.t.Fatalf("%v", err)
	}
	return out
}

// NFT adds an nftables script to the host, for cuts and NATs that come later.
func (h *Host) NFT(script string) {
	h.lab.t.Helper()
	if err := h.nft(script); err != nil {
		h.lab.t.Fatalf("machine %s: %v", h.Name, err)
	}
}

// SetLink turns a link of the host (eth0, ...) on or off: a pulled cable.
func (h *Host) SetLink(name string, up bool) {
	h.lab.t.Helper()
	handle, err := netlink.NewHandleAt(h.ns.handle)
	if err != nil {
		h.lab.t.Fatalf("machine %s: %v", h.Name, err)
	}
	defer handle.Close()
	link, err := handle.LinkByName(name)
	if err == nil && up {
		err = handle.LinkSetUp(link)
	} else if err == nil {
		err = handle.LinkSetDown(link)
	}
	if err != nil {
		h.lab.t.Fatalf("machine %s: set link %s: %v", h.Name, name, err)
	}
}

// Ping sends count echo requests, a fifth of a second apart, and gives how many
// were answered. An error is ping's own, such as no route.
func (h *Host) Ping(ctx context.Context, to netip.Addr, count int) (int, error) {
	out, err := h.Run(ctx, "ping", "-n", "-i", "0.2", "-W", "1", "-c", fmt.Sprint(count), to.String())
	var sent, received int
	for line := range strings.Lines(out) {
		if n, _ := fmt.Sscanf(line, "%d packets transmitted, %d received", &sent, &received); n == 2 {
			return received, nil
		}
	}
	return 0, err
}

// Eventually asks until the answer is yes, at most for the given time, and then
// fails the test with the last reason. It is for real networks, where nobody
// can tell when; keep the time generous, for a busy machine.
func Eventually(t T, within time.Duration, what string, ask func() (bool, string)) {
	t.Helper()
	end := time.Now().Add(within)
	for {
		ok, why := ask()
		if ok {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s: not within %s: %s", what, within, why)
		}
		select {
		case <-t.Context().Done():
			t.Fatalf("%s: the test ended: %s", what, why)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// tail gives the last n lines.
func tail(s string, n int) string {
	lines := strings.Split(strings.TrimRight(s, "\n"), "\n")
	if len(lines) > n {
		lines = lines[len(lines)-n:]
	}
	return strings.Join(lines, "\n")
}
