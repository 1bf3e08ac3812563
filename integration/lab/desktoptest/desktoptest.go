// Package desktoptest plays a desktop that shows notices, on a session's real message
// bus: the service of the freedesktop.org Desktop Notifications Specification. What was
// to be shown it keeps for the test.
package desktoptest

import (
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"

	"github.com/godbus/dbus/v5"
)

const (
	name = "org.freedesktop.Notifications"
	path = dbus.ObjectPath("/org/freedesktop/Notifications")
)

// Desktop is somebody's desktop.
type Desktop struct {
	mu    sync.Mutex
	texts []string
}

// Open puts one on a bus, to which the test has connected, until the test ends.
func Open(t testing.TB, to net.Conn) *Desktop {
	t.Helper()
	d := &Desktop{}
	conn, err := dbus.NewConn(to)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.Auth(nil); err != nil {
		t.Fatalf("the session's bus: %v", err)
	}
	if err := conn.Hello(); err != nil {
		t.Fatalf("the session's bus: %v", err)
	}
	if err := conn.Export((*service)(d), path, name); err != nil {
		t.Fatal(err)
	}
	if reply, err := conn.RequestName(name, dbus.NameFlagDoNotQueue); err != nil || reply != dbus.RequestNameReplyPrimaryOwner {
		t.Fatalf("%s: %v, %v", name, reply, err)
	}
	return d
}

// Shown gives the texts of the notices so far, with their titles.
func (d *Desktop) Shown() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.texts)
}

// service is what a bus may call.
type service Desktop

// GetCapabilities says that texts are shown, and no markup.
func (s *service) GetCapabilities() ([]string, *dbus.Error) { return []string{"body"}, nil }

// Notify takes a notice.
func (s *service) Notify(_ string, _ uint32, _, title, text string, _ []string, _ map[string]dbus.Variant, _ int32) (uint32, *dbus.Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.texts = append(s.texts, fmt.Sprintf("%s: %s", title, text))
	return uint32(len(s.texts)), nil
}
