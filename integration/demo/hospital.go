package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/cordonmesh/cordon/node/local"
)

// hospital is the demo's machinery: processes, state directories and ports.
type hospital struct {
	bin, dir    string
	url         string
	listen      string
	coordinator *process
	nodes       map[string]*machine
	services    *services
}

// machine is one node: its daemon, and what it offers or may call.
type machine struct {
	name    string
	state   string
	socket  string
	socks   string // address of its SOCKS5 door, for machines that call
	expose  string // "443=127.0.0.1:PORT", for machines that serve
	daemon  *process
	address string // its IPv4 address in the mesh
}

type process struct {
	cmd *exec.Cmd
	log string
}

func newHospital(bin, dir string) *hospital {
	return &hospital{bin: bin, dir: dir, nodes: map[string]*machine{}, services: newServices()}
}

func (h *hospital) close() {
	for _, m := range h.nodes {
		m.daemon.end(syscall.SIGTERM)
	}
	h.coordinator.end(syscall.SIGTERM)
	h.services.close()
}

// start runs one of the built binaries in the background, its output in a log.
func (h *hospital) start(name, log string, args ...string) (*process, error) {
	path := filepath.Join(h.dir, log+".log")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	cmd := exec.Command(filepath.Join(h.bin, name), args...)
	cmd.Stdout, cmd.Stderr = f, f
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w (run `make build` first)", name, err)
	}
	return &process{cmd: cmd, log: path}, nil
}

// end signals a process that this demo started, and waits for it.
func (p *process) end(sig syscall.Signal) {
	if p == nil || p.cmd.ProcessState != nil {
		return
	}
	p.cmd.Process.Signal(sig)
	done := make(chan struct{})
	go func() { p.cmd.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(5 * time.Second):
		p.cmd.Process.Kill()
		<-done
	}
}

// tool runs one of the built binaries to its end and gives what it printed.
func (h *hospital) tool(ctx context.Context, stdin, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(h.bin, name), args...)
	cmd.Stdin = strings.NewReader(stdin)
	var out, problem bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problem
	if err := cmd.Run(); err != nil {
		return out.String(), errors.New(firstLine(problem.String() + out.String()))
	}
	return out.String(), nil
}

func (h *hospital) adminSocket() string { return filepath.Join(h.dir, "coordinator", "admin.sock") }

// ctl runs cordonctl against the demo's coordinator.
func (h *hospital) ctl(ctx context.Context, stdin string, args ...string) (string, error) {
	return h.tool(ctx, stdin, "cordonctl", append([]string{"--socket", h.adminSocket()}, args...)...)
}

func (h *hospital) startCoordinator(ctx context.Context) error {
	state := filepath.Join(h.dir, "coordinator")
	if h.url == "" {
		h.listen = freeAddress()
		h.url = "https://" + h.listen
		if _, err := h.tool(ctx, "", "cordon-coordinator", "init", "--state", state, "--url", h.url); err != nil {
			return err
		}
	}
	p, err := h.start("cordon-coordinator", "coordinator", "serve", "--state", state, "--listen", h.listen)
	if err != nil {
		return err
	}
	h.coordinator = p
	return until(ctx, func() error { _, err := h.ctl(ctx, "", "status"); return err })
}

// token asks for an enrolment string: for a person if owner holds an '@', else for a tag.
func (h *hospital) token(ctx context.Context, owner string) (string, error) {
	flag := "--tag"
	if strings.Contains(owner, "@") {
		flag = "--user"
	}
	out, err := h.ctl(ctx, "", "--json", "token", "create", flag, owner)
	if err != nil {
		return "", err
	}
	var answer struct {
		Text string `json:"text"`
	}
	if err := json.Unmarshal([]byte(out), &answer); err != nil || answer.Text == "" {
		return "", fmt.Errorf("token create answered %q", firstLine(out))
	}
	return answer.Text, nil
}

// machine makes a node's daemon; it is not in the mesh yet.
func (h *hospital) machine(ctx context.Context, name string) (*machine, error) {
	m := h.nodes[name]
	if m == nil {
		m = &machine{name: name, state: filepath.Join(h.dir, name), socket: filepath.Join(h.dir, name+".sock"), socks: freeAddress()}
		if target := h.services.address(name); target != "" {
			m.expose = "443=" + target
		}
		h.nodes[name] = m
	}
	args := []string{"--socket", m.socket, "daemon", "--userspace", "--state", m.state, "--socks5", m.socks}
	if m.expose != "" {
		args = append(args, "--expose", m.expose)
	}
	p, err := h.start("cordon", name, args...)
	if err != nil {
		return nil, err
	}
	m.daemon = p
	return m, until(ctx, func() error { _, err := m.status(ctx); return err })
}

func (m *machine) status(ctx context.Context) (*local.Status, error) {
	c := local.NewClient(m.socket)
	defer c.Close()
	return c.Status(ctx)
}

// up joins the mesh: the enrolment string goes in on standard input.
func (h *hospital) up(ctx context.Context, m *machine, enrolment string) error {
	if _, err := h.tool(ctx, enrolment+"\n", "cordon", "--socket", m.socket, "up", "--name", m.name); err != nil {
		return err
	}
	s, err := m.status(ctx)
	if err != nil {
		return err
	}
	for _, a := range s.Addresses {
		if a.Is4() {
			m.address = a.String()
		}
	}
	if m.address == "" {
		return fmt.Errorf("%s has no address after up", m.name)
	}
	return nil
}

func (h *hospital) join(ctx context.Context, name, owner string) error {
	m, err := h.machine(ctx, name)
	if err != nil {
		return err
	}
	enrolment, err := h.token(ctx, owner)
	if err != nil {
		return err
	}
	return h.up(ctx, m, enrolment)
}

func (h *hospital) showLogs() {
	logs, _ := filepath.Glob(filepath.Join(h.dir, "*.log"))
	for _, path := range logs {
		text, _ := os.ReadFile(path)
		lines := strings.Split(strings.TrimSpace(string(text)), "\n")
		fmt.Fprintf(os.Stderr, "\n--- last lines of %s\n%s\n", filepath.Base(path), strings.Join(lines[max(0, len(lines)-8):], "\n"))
	}
}

// invite says what can be tried while the demo stays up.
func (h *hospital) invite() {
	nurse, ehr := h.nodes["nurse-laptop"], h.nodes["ehr"]
	fmt.Printf(`
The mesh stays up until Ctrl-C. To try, in another terminal:

  curl --proxy socks5h://%s http://ehr:443/
  %s --socket %s status
  %s --socket %s explain finance:443
  %s --socket %s policy reach
  %s --socket %s policy get > policy.hujson    # edit it, then: policy set policy.hujson

The EHR's address in the mesh is %s.
`, nurse.socks, filepath.Join(h.bin, "cordon"), nurse.socket, filepath.Join(h.bin, "cordon"), nurse.socket,
		filepath.Join(h.bin, "cordonctl"), h.adminSocket(), filepath.Join(h.bin, "cordonctl"), h.adminSocket(), ehr.address)
}

func freeAddress() string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "127.0.0.1:0"
	}
	defer l.Close()
	return l.Addr().String()
}

// until tries f every few milliseconds until it succeeds or ctx ends.
func until(ctx context.Context, f func() error) error {
	patience, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for {
		err := f()
		if err == nil {
			return nil
		}
		select {
		case <-patience.Done():
			return err
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func firstLine(text string) string {
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			return line
		}
	}
	return "no output"
}
