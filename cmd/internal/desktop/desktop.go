// Package desktop tells a person something on their desktop, by the freedesktop.org
// notification service on the bus of their session.
package desktop

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/godbus/dbus/v5"
)

const (
	service = "org.freedesktop.Notifications"
	object  = dbus.ObjectPath("/org/freedesktop/Notifications")

	// within bounds a call: a desktop that hangs must not stop who tells it.
	within = 3 * time.Second
)

// Notice is one thing to tell.
type Notice struct {
	Title, Text string // plain, whatever the desktop makes of markup
	Urgent      bool   // it stays until the person has seen it
}

// Desktop is a person's session.
type Desktop struct {
	conn   *dbus.Conn
	hangUp context.CancelFunc
	escape bool // it reads markup in a notice's text
}

// Connect finds the desktop of whoever runs this program. It starts no bus: where
// there is none, nobody looks.
func Connect(ctx context.Context) (*Desktop, error) {
	address, err := sessionBus()
	if err != nil {
		return nil, err
	}
	alive, cancel := context.WithCancel(ctx)
	late := time.AfterFunc(within, cancel)
	conn, err := dbus.Connect(address, dbus.WithContext(alive))
	if err != nil || !late.Stop() {
		cancel()
		return nil, fmt.Errorf("the session's D-Bus: %w", errors.Join(err, alive.Err()))
	}
	d := &Desktop{conn: conn, hangUp: cancel}
	var can []string
	if err := d.call(ctx, "GetCapabilities").Store(&can); err != nil {
		d.Close()
		return nil, fmt.Errorf("no desktop takes notices: %w", err)
	}
	d.escape = slices.Contains(can, "body-markup")
	return d, nil
}

// sessionBus gives the address of the bus, where a session has it by convention. The
// library's own search may run a program.
func sessionBus() (string, error) {
	if address := os.Getenv("DBUS_SESSION_BUS_ADDRESS"); address != "" {
		return address, nil
	}
	dir := os.Getenv("XDG_RUNTIME_DIR")
	if dir == "" {
		return "", errors.New("there is no session bus: neither DBUS_SESSION_BUS_ADDRESS nor XDG_RUNTIME_DIR is set")
	}
	path := filepath.Join(dir, "bus")
	if info, err := os.Stat(path); err != nil || info.Mode().Type() != fs.ModeSocket {
		return "", fmt.Errorf("there is no session bus at %s", path)
	}
	return "unix:path=" + dbus.EscapeBusAddressValue(path), nil
}

// Show shows a notice. The desktop decides where, and for how long.
func (d *Desktop) Show(ctx context.Context, n Notice) error {
	text, urgency := n.Text, byte(1)
	if d.escape {
		text = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(text)
	}
	if n.Urgent {
		urgency = 2
	}
	hints := map[string]dbus.Variant{"urgency": dbus.MakeVariant(urgency)}
	return d.call(ctx, "Notify", "Cordon", uint32(0), "", n.Title, text, []string{}, hints, int32(-1)).Err
}

func (d *Desktop) call(ctx context.Context, method string, args ...any) *dbus.Call {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	return d.conn.Object(service, object).CallWithContext(ctx, service+"."+method, 0, args...)
}

// Close leaves the bus.
func (d *Desktop) Close() {
	d.conn.Close()
	d.hangUp()
}
