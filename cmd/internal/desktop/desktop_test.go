package desktop_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/godbus/dbus/v5"
	"go.uber.org/goleak"

	"github.com/cordonmesh/cordon/cmd/internal/desktop"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bus is a session's bus with a desktop on it, as a test plays it.
type bus struct {
	address string
	markup  bool // it reads markup
	deaf    bool // nobody takes notices there

	mu    sync.Mutex
	shown [][]any // arguments of each call
}

func newBus(t *testing.T) *bus {
	t.Helper()
	path := filepath.Join(t.TempDir(), "bus")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	b := &bus{address: "unix:path=" + path}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			b.serve(conn)
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return b
}

// serve speaks D-Bus with one client: the handshake, then calls.
func (b *bus) serve(conn net.Conn) {
	defer conn.Close()
	in := bufio.NewReader(conn)
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		answer := "OK 0123456789abcdef0123456789abcdef"
		switch words := strings.Fields(strings.TrimLeft(line, "\x00")); {
		case words[0] == "BEGIN":
			b.calls(in, conn)
			return
		case words[0] == "AUTH" && len(words) == 1:
			answer = "REJECTED EXTERNAL"
		case words[0] != "AUTH":
			answer = "ERROR"
		}
		fmt.Fprintf(conn, "%s\r\n", answer)
	}
}

func (b *bus) calls(in *bufio.Reader, conn net.Conn) {
	for serial := uint32(1); ; serial++ {
		m, err := dbus.DecodeMessage(in)
		if err != nil {
			return
		}
		reply := &dbus.Message{Type: dbus.TypeMethodReply, Headers: map[dbus.HeaderField]dbus.Variant{dbus.FieldReplySerial: dbus.MakeVariant(m.Serial())}, Body: b.answer(m)}
		if reply.Body == nil {
			reply.Type, reply.Body = dbus.TypeError, []any{"nobody is there"}
			reply.Headers[dbus.FieldErrorName] = dbus.MakeVariant("org.freedesktop.DBus.Error.ServiceUnknown")
		}
		reply.Headers[dbus.FieldSignature] = dbus.MakeVariant(dbus.SignatureOf(reply.Body...))
		var text bytes.Buffer
		if reply.EncodeTo(&text, binary.LittleEndian) != nil {
			return
		}
		binary.LittleEndian.PutUint32(text.Bytes()[8:], serial) // the library keeps it to itself
		conn.Write(text.Bytes())
	}
}

func (b *bus) answer(m *dbus.Message) []any {
	b.mu.Lock()
	defer b.mu.Unlock()
	to, _ := m.Headers[dbus.FieldPath].Value().(dbus.ObjectPath)
	switch method, _ := m.Headers[dbus.FieldMember].Value().(string); {
	case method == "Hello":
		return []any{":1.1"}
	case b.deaf || to != "/org/freedesktop/Notifications" || m.Headers[dbus.FieldDestination].Value() != "org.freedesktop.Notifications":
		return nil
	case method == "GetCapabilities" && b.markup:
		return []any{[]string{"body", "body-markup"}}
	case method == "GetCapabilities":
		return []any{[]string{"body"}}
	case method == "Notify" && m.Headers[dbus.FieldSignature].String() == `@g "susssasa{sv}i"`:
		b.shown = append(b.shown, m.Body)
		return []any{uint32(len(b.shown))}
	}
	return nil
}

func (b *bus) last(t *testing.T) (title, text string, urgency any) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.shown) == 0 {
		t.Fatal("nothing was shown")
	}
	args := b.shown[len(b.shown)-1]
	return args[3].(string), args[4].(string), args[6].(map[string]dbus.Variant)["urgency"].Value()
}

// What is told is shown as it is: nothing that a policy or a peer is called becomes
// a link or a picture.
func TestNoticesAreShownAsPlainText(t *testing.T) {
	for _, markup := range []bool{false, true} {
		b := newBus(t)
		b.markup = markup
		t.Setenv("DBUS_SESSION_BUS_ADDRESS", b.address)
		d, err := desktop.Connect(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		const text = `ends in 9 min: <a href="https://evil.example">ehr</a> & more`
		want := text
		if markup {
			want = `ends in 9 min: &lt;a href="https://evil.example"&gt;ehr&lt;/a&gt; &amp; more`
		}
		for _, urgent := range []bool{false, true} {
			if err := d.Show(t.Context(), desktop.Notice{Title: "Cordon", Text: text, Urgent: urgent}); err != nil {
				t.Fatal(err)
			}
			if title, got, urgency := b.last(t); title != "Cordon" || got != want || (urgency == byte(2)) != urgent {
				t.Errorf("markup %v: %q, %q, urgency %v", markup, title, got, urgency)
			}
		}
		d.Close()
		if d.Show(t.Context(), desktop.Notice{}) == nil {
			t.Error("shown after the end")
		}
	}
}

// The bus of a session that only says where its directory is.
func TestTheBusInTheRuntimeDirectory(t *testing.T) {
	b := newBus(t)
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", "")
	t.Setenv("XDG_RUNTIME_DIR", filepath.Dir(strings.TrimPrefix(b.address, "unix:path=")))
	d, err := desktop.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	d.Close()
}

// Where there is no desktop the reason is said, and at once.
func TestNoDesktop(t *testing.T) {
	deaf := newBus(t)
	deaf.deaf = true
	dir := t.TempDir()
	for _, c := range []struct{ bus, dir, want string }{
		{"", "", "neither DBUS_SESSION_BUS_ADDRESS nor XDG_RUNTIME_DIR is set"},
		{"", dir, "there is no session bus at " + dir},
		{"unix:path=" + dir + "/none", "", "the session's D-Bus: "},
		{"nonsense", "", "the session's D-Bus: "},
		{deaf.address, "", "no desktop takes notices: "},
	} {
		t.Setenv("DBUS_SESSION_BUS_ADDRESS", c.bus)
		t.Setenv("XDG_RUNTIME_DIR", c.dir)
		if _, err := desktop.Connect(context.Background()); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}
