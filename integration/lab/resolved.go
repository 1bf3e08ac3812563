//go:build linux

package lab

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
)

// asideDir is where `make deps` unpacks what must not be installed.
const asideDir = "/usr/local/lib/cordon-lab"

// busAddress is of the lab's own message buses. A network namespace has a name
// space of its own for such sockets.
const busAddress = "unix:abstract=cordon-lab"

// busConfig lets everybody say everything, as everybody here is root.
const busConfig = `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN" "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>system</type><listen>` + busAddress + `</listen><policy context="default">
<allow user="*"/><allow own="*"/><allow send_destination="*"/><allow receive_sender="*"/><allow send_type="method_call"/>
</policy></busconfig>`

// resolvedScript is run in mounts of the program's own: what it puts over /run and
// the lists of users is nobody else's.
const resolvedScript = `set -e
mount -t tmpfs lab /run
mkdir -p /run/systemd/resolved.conf.d
cp "$1" /run/systemd/resolved.conf.d/lab.conf
for list in passwd group; do
	grep -v '^systemd-resolve:' /etc/$list >/run/$list
	echo "systemd-resolve:x:998:998::/:/bin/false" >>/run/$list
	mount --bind /run/$list /etc/$list
done
exec "$0"`

// Resolved is a systemd-resolved on a host.
type Resolved struct {
	host *Host
	root string // of the files of its package
}

// StartResolved has the host's programs find names as most Linux machines do: by
// systemd-resolved, which asks the given server. The host gets a message bus, that
// DBUS_SYSTEM_BUS_ADDRESS names to all that starts there from now on.
func (h *Host) StartResolved(upstream netip.Addr) *Resolved {
	t := h.lab.t
	t.Helper()
	r := &Resolved{host: h}
	program := r.find("lib/systemd/systemd-resolved", "usr/lib/systemd/systemd-resolved")
	dir := h.lab.Dir(h.Name + "-resolved")
	bus, conf := filepath.Join(dir, "bus.conf"), filepath.Join(dir, "lab.conf")
	for name, text := range map[string]string{bus: busConfig, conf: fmt.Sprintf("[Resolve]\nDNS=%s\n", upstream)} {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatalf("systemd-resolved on %s: %v", h.Name, err)
		}
	}
	h.machine.Env = append(h.machine.Env, "DBUS_SYSTEM_BUS_ADDRESS="+busAddress)
	h.ResolvConf("nameserver 127.0.0.53\n")
	h.Start("bus", "dbus-daemon", "--nofork", "--nopidfile", "--config-file="+bus)
	h.Start("systemd-resolved", "env", append(r.env(), "SYSTEMD_LOG_TARGET=console", "sh", "-c", resolvedScript, program, conf)...)
	Eventually(t, patience, "systemd-resolved answers on "+h.Name, func() (bool, string) {
		out, err := r.ctl("dns")
		return err == nil, fmt.Sprint(out, err)
	})
	return r
}

// find gives the first of the files that the machine has installed, or has aside.
func (r *Resolved) find(files ...string) string {
	for _, r.root = range []string{"/", asideDir} {
		for _, f := range files {
			if path := filepath.Join(r.root, f); isFile(path) {
				return path
			}
		}
	}
	r.host.lab.t.Fatalf("no systemd-resolved, which `make deps` fetches")
	return ""
}

func isFile(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.Mode().IsRegular()
}

// env leads programs to the library of their version.
func (r *Resolved) env() []string {
	dirs, err := filepath.Glob(filepath.Join(r.root, "usr/lib/*/systemd"))
	if err != nil || r.root == "/" {
		return nil
	}
	return []string{"LD_LIBRARY_PATH=" + strings.Join(dirs, ":")}
}

func (r *Resolved) ctl(args ...string) (string, error) {
	argv := append(append(r.env(), filepath.Join(r.root, "usr/bin/resolvectl")), args...)
	return r.host.Run(r.host.lab.t.Context(), "env", argv...)
}

// Settings is what it was told of each interface, and what it knows by itself, in
// its own words: a line for each, of servers and then of domains.
func (r *Resolved) Settings() string {
	r.host.lab.t.Helper()
	var all strings.Builder
	for _, what := range []string{"dns", "domain"} {
		out, err := r.ctl(what)
		if err != nil {
			r.host.lab.t.Fatalf("%v", err)
		}
		all.WriteString(out)
	}
	return all.String()
}
