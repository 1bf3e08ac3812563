// Package resolvedtest plays systemd-resolved, on a message bus of its own, for
// tests of what leads a machine's programs to the names of a mesh. It takes the
// settings of interfaces as org.freedesktop.resolve1(5) says, and shows them to
// the test; it resolves nothing.
package resolvedtest

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/godbus/dbus/v5"
)

const (
	name       = "org.freedesktop.resolve1"
	linkPrefix = "/org/freedesktop/resolve1/link/_"
)

// Link is what was set for one interface.
type Link struct {
	DNS          []netip.Addr
	Domains      []string // "~" before one that is for routing alone
	DefaultRoute bool
	Off          []string // LLMNR and others that were set to "no"
}

// Resolved is systemd-resolved as a test plays it.
type Resolved struct {
	socket string

	mu         sync.Mutex
	running    bool
	maxDomains int
	links      map[int32]*Link
	conns      map[net.Conn]bool
	wait       sync.WaitGroup
}

// Start puts one on a bus, until the test ends.
func Start(t testing.TB) *Resolved {
	t.Helper()
	r := &Resolved{socket: filepath.Join(t.TempDir(), "bus"), running: true, maxDomains: 256, links: map[int32]*Link{}, conns: map[net.Conn]bool{}}
	l, err := net.Listen("unix", r.socket)
	if err != nil {
		t.Fatal(err)
	}
	r.wait.Go(func() { r.accept(l) })
	t.Cleanup(func() {
		l.Close()
		r.Hangup()
		r.wait.Wait()
	})
	return r
}

// Address is the bus's, as DBUS_SYSTEM_BUS_ADDRESS takes it.
func (r *Resolved) Address() string { return "unix:path=" + r.socket }

// Run starts or stops the service; the bus stays.
func (r *Resolved) Run(running bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.running = running
	if !running {
		clear(r.links)
	}
}

// Limit bounds the domains of a link, as older ones did.
func (r *Resolved) Limit(domains int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.maxDomains = domains
}

// Forget is somebody else's reset of all links.
func (r *Resolved) Forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	clear(r.links)
}

// Volunteer is somebody else's wish that all links are asked for all names.
func (r *Resolved) Volunteer() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, l := range r.links {
		l.DefaultRoute = true
	}
}

// Hangup ends all connections: the bus was started anew.
func (r *Resolved) Hangup() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for c := range r.conns {
		c.Close()
	}
}

// Links gives what is set, by interface index.
func (r *Resolved) Links() map[int]Link {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := map[int]Link{}
	for i, l := range r.links {
		out[int(i)] = *l
	}
	return out
}

// Only gives the settings of the one link that has some.
func (r *Resolved) Only() (Link, bool) {
	all := slices.Collect(maps.Values(r.Links()))
	if len(all) != 1 {
		return Link{}, false
	}
	return all[0], true
}

func (r *Resolved) accept(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		r.mu.Lock()
		r.conns[conn] = true
		r.mu.Unlock()
		r.wait.Go(func() { r.serve(conn) })
	}
}

// serve speaks D-Bus with one client.
func (r *Resolved) serve(conn net.Conn) {
	defer func() {
		conn.Close()
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.conns, conn)
	}()
	in := bufio.NewReader(conn)
	if authenticate(in, conn) != nil {
		return
	}
	for serial := uint32(1); ; serial++ {
		m, err := dbus.DecodeMessage(in)
		if err != nil {
			return
		}
		if m.Type != dbus.TypeMethodCall {
			continue
		}
		reply := r.reply(m)
		reply.Headers[dbus.FieldReplySerial] = dbus.MakeVariant(m.Serial())
		reply.Headers[dbus.FieldSender] = dbus.MakeVariant(m.Headers[dbus.FieldDestination].Value())
		if len(reply.Body) > 0 {
			reply.Headers[dbus.FieldSignature] = dbus.MakeVariant(dbus.SignatureOf(reply.Body...))
		}
		if err := send(conn, reply, serial); err != nil {
			return
		}
	}
}

// send gives a message its serial number, which the library keeps to itself.
func send(conn net.Conn, m *dbus.Message, serial uint32) error {
	var b strings.Builder
	if err := m.EncodeTo(&b, binary.LittleEndian); err != nil {
		return err
	}
	bytes := []byte(b.String())
	binary.LittleEndian.PutUint32(bytes[8:], serial)
	_, err := conn.Write(bytes)
	return err
}

// authenticate believes whoever comes, as a bus does a user of its own.
func authenticate(in *bufio.Reader, conn net.Conn) error {
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return err
		}
		answer := "ERROR"
		switch words := strings.Fields(strings.TrimLeft(line, "\x00")); {
		case len(words) == 0:
			return errors.New("an empty line")
		case words[0] == "BEGIN":
			return nil
		case words[0] == "AUTH" && len(words) == 1:
			answer = "REJECTED EXTERNAL"
		case words[0] == "AUTH":
			answer = "OK 0123456789abcdef0123456789abcdef"
		case words[0] == "NEGOTIATE_UNIX_FD":
			answer = "AGREE_UNIX_FD"
		}
		if _, err := fmt.Fprintf(conn, "%s\r\n", answer); err != nil {
			return err
		}
	}
}

func (r *Resolved) reply(m *dbus.Message) *dbus.Message {
	body, err := r.call(m)
	out := &dbus.Message{Type: dbus.TypeMethodReply, Headers: map[dbus.HeaderField]dbus.Variant{}, Body: body}
	if err != nil {
		out.Type, out.Body = dbus.TypeError, []any{err.Error()}
		out.Headers[dbus.FieldErrorName] = dbus.MakeVariant(err.Name)
	}
	return out
}

func failed(name string) *dbus.Error { return &dbus.Error{Name: name, Body: []any{name}} }

// call answers the bus's own methods and the service's.
func (r *Resolved) call(m *dbus.Message) ([]any, *dbus.Error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	method, _ := m.Headers[dbus.FieldMember].Value().(string)
	path, _ := m.Headers[dbus.FieldPath].Value().(dbus.ObjectPath)
	switch {
	case method == "Hello":
		return []any{":1.1"}, nil
	case method == "NameHasOwner":
		return []any{r.running && m.Body[0] == name}, nil
	case !r.running:
		return nil, failed("org.freedesktop.DBus.Error.ServiceUnknown")
	case method == "GetAll":
		return r.properties(path)
	case len(m.Body) == 0:
		return nil, failed("org.freedesktop.DBus.Error.InvalidArgs")
	}
	index, _ := m.Body[0].(int32)
	if got, _ := m.Headers[dbus.FieldSignature].Value().(dbus.Signature); got.String() != signature(method) {
		return nil, failed("org.freedesktop.DBus.Error.InvalidSignature")
	}
	if method == "GetLink" {
		return []any{dbus.ObjectPath(fmt.Sprint(linkPrefix, index))}, nil
	}
	return nil, r.set(method, index, m.Body[1:])
}
