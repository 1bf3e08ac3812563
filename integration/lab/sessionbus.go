//go:build linux

package lab

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"
)

// sessionBusConfig is of a desktop session's bus. As such a bus does, it takes nobody
// but whose it is; and root here, which is the test.
const sessionBusConfig = `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN" "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>session</type><listen>unix:abstract=%s</listen><policy context="default">
<allow user="root"/><allow own="*"/><allow send_destination="*"/><allow receive_sender="*"/>
</policy></busconfig>`

// sessionBusScript runs dbus-daemon as a user, whom it wants in the list of users, and
// from whom the lab's directories are kept. The mounts are the program's own.
const sessionBusScript = `set -e
mount -t tmpfs lab /run
cp "$0" /run/bus.conf
printf 'root:x:0:0::/:/bin/false\nlab:x:%s:%s::/:/bin/false\n' "$1" "$1" >/run/passwd
mount --bind /run/passwd /etc/passwd
exec setpriv --reuid "$1" --regid "$1" --clear-groups dbus-daemon --nofork --nopidfile --config-file=/run/bus.conf`

// SessionBus is the message bus of an account's desktop session.
type SessionBus struct {
	Address string // as DBUS_SESSION_BUS_ADDRESS has it; its programs are on this host
	host    *Host
	name    string
}

// StartSessionBus gives the account a desktop session's bus.
func (a *Account) StartSessionBus() *SessionBus {
	t := a.host.lab.t
	t.Helper()
	b := &SessionBus{host: a.host, name: fmt.Sprintf("cordon-lab-session-%d", a.uid)}
	b.Address = "unix:abstract=" + b.name
	dir := a.host.lab.Dir(fmt.Sprintf("%s-session-%d", a.host.Name, a.uid))
	config := filepath.Join(dir, "bus.conf")
	if err := os.WriteFile(config, fmt.Appendf(nil, sessionBusConfig, b.name), 0o644); err != nil {
		t.Fatalf("the bus of %d's session: %v", a.uid, err)
	}
	a.host.Start(fmt.Sprint("session bus of ", a.uid), "sh", "-c", sessionBusScript, config, fmt.Sprint(a.uid))
	Eventually(t, patience, "a session's bus answers", func() (bool, string) {
		c, err := b.Dial(t.Context())
		if err != nil {
			return false, err.Error()
		}
		return c.Close() == nil, ""
	})
	return b
}

// Dial connects to the bus, as root.
func (b *SessionBus) Dial(ctx context.Context) (conn net.Conn, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	err = b.host.Do(func() error {
		dialled, err := new(net.Dialer).DialContext(ctx, "unix", "@"+b.name)
		if err == nil {
			conn = dialled
		}
		return err
	})
	return conn, err
}
