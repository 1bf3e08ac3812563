//go:build linux

package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"github.com/vishvananda/netlink"
	"golang.zx2c4.com/wireguard/conn"
	"golang.zx2c4.com/wireguard/device"
	"golang.zx2c4.com/wireguard/tun"

	"github.com/cordonmesh/cordon/coordinator/wire/key"
	"github.com/cordonmesh/cordon/integration/lab"
	"github.com/cordonmesh/cordon/node/local"
)

// roleTunnel is this program as a bare WireGuard end: wireguard-go of the
// version that go.mod names, on a TUN, as its authors put it together.
const roleTunnel = "tunnel"

// tunnelEnd is one end's configuration. It goes by a file, since a private key
// has no place among arguments.
type tunnelEnd struct {
	Interface string
	MTU       int
	Address   netip.Prefix
	Settings  string // as wireguard's UAPI takes them
	Ready     string // a file, made when the end is up
}

// playTunnel is up until ctx is done.
func playTunnel(ctx context.Context, path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var end tunnelEnd
	if err := json.Unmarshal(text, &end); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	t, err := tun.CreateTUN(end.Interface, end.MTU)
	if err != nil {
		return fmt.Errorf("make %s: %w", end.Interface, err)
	}
	d := device.NewDevice(t, conn.NewDefaultBind(), device.NewLogger(device.LogLevelError, "bare wireguard: "))
	defer d.Close()
	if err := d.IpcSet(end.Settings); err != nil {
		return fmt.Errorf("configure %s: %w", end.Interface, err)
	}
	if err := d.Up(); err != nil {
		return err
	}
	link, err := netlink.LinkByName(end.Interface)
	if err != nil {
		return err
	}
	address := &netlink.Addr{IPNet: &net.IPNet{IP: end.Address.Addr().AsSlice(), Mask: net.CIDRMask(end.Address.Bits(), end.Address.Addr().BitLen())}}
	if err := netlink.AddrAdd(link, address); err != nil {
		return fmt.Errorf("give %s the address %s: %w", end.Interface, end.Address, err)
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return err
	}
	if err := os.WriteFile(end.Ready, nil, 0o600); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

// link is a tunnel between two hosts: addresses inside, and who carries it.
type link struct {
	from, to *lab.Host
	at       netip.Addr // of the host to, inside
	port     uint16     // of its sink
	pids     []int
}

// bareTunnel joins two hosts by bare wireguard-go. Number tells several tunnels apart.
func bareTunnel(t lab.T, l *lab.Lab, from, to *lab.Host, number, mtu int) link {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatalf("find this program: %v", err)
	}
	hosts, keys := []*lab.Host{from, to}, []key.TunnelPrivate{key.NewTunnel(), key.NewTunnel()}
	inside := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, 99, byte(number), byte(i + 1)}) }
	out := link{from: from, to: to, at: inside(1), port: sinkPort}
	for i, h := range hosts {
		other := 1 - i
		mine, theirs := keys[i].Raw(), keys[other].Public().Raw()
		port := 40000 + number
		name := fmt.Sprintf("bare%d", number)
		file := filepath.Join(l.Dir(h.Name+"-"+name), "end.json")
		end := tunnelEnd{
			Interface: name, MTU: mtu, Address: netip.PrefixFrom(inside(i), 24), Ready: file + ".ready",
			Settings: fmt.Sprintf("private_key=%s\nlisten_port=%d\npublic_key=%s\nendpoint=%s\nallowed_ip=%s/32\n",
				hex.EncodeToString(mine[:]), port, hex.EncodeToString(theirs[:]), netip.AddrPortFrom(hosts[other].Addr4(), uint16(port)), inside(other)),
		}
		text, err := json.Marshal(end)
		if err == nil {
			err = os.WriteFile(file, text, 0o600)
		}
		if err != nil {
			t.Fatalf("configure a bare tunnel: %v", err)
		}
		p := h.Start(name, self, "-role", roleTunnel, file)
		lab.Eventually(t, patience, name+" on "+h.Name+" is up", func() (bool, string) {
			if ended, err := p.Exited(); ended {
				t.Fatalf("%s on %s ended: %v: %s", name, h.Name, err, p.Log())
			}
			_, err := os.Stat(end.Ready)
			return err == nil, p.Log()
		})
		out.pids = append(out.pids, p.Pid())
	}
	return out
}

// ourTunnel joins two hosts by a mesh of which a third is the coordinator.
func ourTunnel(t lab.T, l *lab.Lab, hub, from, to *lab.Host) link {
	t.Helper()
	programs := lab.Build(t)
	c := programs.StartCoordinator(hub, netip.AddrPortFrom(hub.Addr4(), 8443))
	c.SetPolicy(tunnelPolicy())
	a, b := programs.StartDaemon(from), programs.StartDaemon(to)
	a.Up(c.Token("nina@hospital.example"))
	b.Up(c.Token("tag:ehr"))
	a.Wait("knows "+b.Name, func(s *local.Status) bool { _, ok := lab.FindPeer(s, b.Name); return ok })
	return link{from: from, to: to, at: b.Mesh4(), port: sinkPort, pids: []int{a.Process.Pid(), b.Process.Pid()}}
}

// tunnelPolicy is that of a small clinic: the filter has something to do.
func tunnelPolicy() string {
	text := `{"tagOwners": {"tag:ehr": [], "tag:pacs": []}, "grants": [`
	for i := range 20 {
		text += fmt.Sprintf(`{"src": ["nina@hospital.example"], "dst": ["tag:ehr"], "ip": ["tcp:%d"]},`, 8000+i)
	}
	return text + `{"src": ["nina@hospital.example"], "dst": ["tag:ehr"], "ip": ["tcp:5201", "udp:5202"]}]}`
}

// cpu is what the programs that carry the tunnel have used so far.
func (k link) cpu() (total time.Duration, err error) {
	for _, pid := range k.pids {
		used, err := cpuOf(pid)
		if err != nil {
			return 0, err
		}
		total += used
	}
	return total, nil
}
