package integration

import (
	"bufio"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"golang.zx2c4.com/wireguard/conn"
	"golang.zx2c4.com/wireguard/device"
	wgtun "golang.zx2c4.com/wireguard/tun"

	"github.com/cordonmesh/cordon/coordinator/wire/key"
	"github.com/cordonmesh/cordon/integration/lab"
)

// wg is what a stock client calls its interface.
const wg = "wg0"

// client is a machine with plain wireguard-go on it, and nothing of ours.
type client struct {
	host   *lab.Host
	key    key.TunnelPrivate
	device *device.Device
}

// hostBind opens its sockets on a host, whoever asks.
type hostBind struct {
	conn.Bind
	host *lab.Host
}

func (b hostBind) Open(port uint16) (fns []conn.ReceiveFunc, actual uint16, err error) {
	err = b.host.Do(func() (err error) {
		fns, actual, err = b.Bind.Open(port)
		return err
	})
	return fns, actual, err
}

// publicKey is the client's, as wg(8) prints it.
func (c *client) publicKey() string {
	raw := c.key.Public().Raw()
	return base64.StdEncoding.EncodeToString(raw[:])
}

// up sets the client up as an admin does, by the text that the gateway printed.
func (c *client) up(t *testing.T, text string) {
	t.Helper()
	var tunnel wgtun.Device
	err := c.host.Do(func() (err error) {
		tunnel, err = wgtun.CreateTUN(wg, 1280)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	c.device = device.NewDevice(tunnel, hostBind{conn.NewDefaultBind(), c.host}, device.NewLogger(device.LogLevelSilent, ""))
	t.Cleanup(c.device.Close)
	raw := c.key.Raw()
	c.set(t, fmt.Sprintf("private_key=%x\n", raw)+c.translate(t, text))
	if err := c.device.Up(); err != nil {
		t.Fatal(err)
	}
	c.host.MustRun("ip", "link", "set", wg, "up")
	for _, a := range settings(text)["Address"] {
		c.host.MustRun("ip", "address", "add", a, "dev", wg, "nodad")
	}
	for _, a := range settings(text)["AllowedIPs"] {
		c.host.MustRun("ip", "route", "add", a, "dev", wg)
	}
}

// set is `wg set`.
func (c *client) set(t *testing.T, text string) {
	t.Helper()
	if err := c.device.IpcSet(text); err != nil {
		t.Fatal(err)
	}
}

// translate is `wg setconf`: what follows [Peer] in wireguard-go's words.
func (c *client) translate(t *testing.T, text string) string {
	t.Helper()
	s := settings(text)
	if len(s["PublicKey"]) != 1 || len(s["Endpoint"]) != 1 || s["PrivateKey"] != nil {
		t.Fatalf("not what a client can be set up with:\n%s", text)
	}
	raw, err := base64.StdEncoding.DecodeString(s["PublicKey"][0])
	if err != nil {
		t.Fatal(err)
	}
	out := "public_key=" + hex.EncodeToString(raw) + "\nendpoint=" + s["Endpoint"][0] + "\n"
	for _, a := range s["AllowedIPs"] {
		out += "allowed_ip=" + a + "\n"
	}
	return out
}

// settings reads the keys of a configuration of wg-quick(8), comments aside.
func settings(text string) map[string][]string {
	out := map[string][]string{}
	for lines := bufio.NewScanner(strings.NewReader(text)); lines.Scan(); {
		line, _, _ := strings.Cut(lines.Text(), "#")
		name, value, ok := strings.Cut(line, " = ")
		if ok {
			out[name] = append(out[name], strings.Split(value, ", ")...)
		}
	}
	return out
}

// bay is a ward with a scanner of some vendor's, that can run WireGuard alone, and a
// gateway with a wing of its own behind it.
func bay() lab.Topology {
	top := lab.Segment("hub", "ward", "ehr", "gw", "scanner", "stranger")
	top.Networks = append(top.Networks, lab.Network{Name: "wing"})
	top.Machines[3].Links = append(top.Machines[3].Links, lab.Link{Network: "wing", Addresses: []string{"10.20.0.1/24"}})
	top.Machines = append(top.Machines, lab.Machine{Name: "pump", Links: []lab.Link{{Network: "wing", Addresses: []string{"10.20.0.9/24"}}},
		Routes: []lab.Route{{To: "default", Via: "10.20.0.1"}}})
	return top
}

// bayPolicy lets the scanner reach the record system and one port of its gateway,
// and ward the scanner. More goes among the grants.
func bayPolicy(more string) string {
	return `{"tagOwners": {"tag:ehr": [], "tag:gateway": []},
	"hosts": {"scanner4": "10.99.0.2", "scanner6": "fd99::2"},
	"grants": [` + more + `
		{"id": "images", "src": ["scanner4", "scanner6"], "dst": ["tag:ehr"], "ip": ["tcp:80", "udp:80", "tcp:443", "udp:5000"]},
		{"id": "time", "src": ["scanner4", "scanner6"], "dst": ["tag:gateway"], "ip": ["tcp:80", "udp:80"]},
		{"id": "service", "src": ["nina@hospital.example"], "dst": ["scanner4", "scanner6"], "ip": ["tcp:80", "udp:80"]},
		{"id": "keys", "src": ["tag:ehr"], "dst": ["tag:gateway"], "ip": ["tcp:2222"]},
		{"id": "wing", "src": ["nina@hospital.example"], "dst": ["10.20.0.0/24"], "ip": ["tcp:80"]},
	]}`
}

// stockScene is a mesh with a gateway that fronts the scanner.
type stockScene struct {
	*scene
	scanner *client
	file    string // of stock peers
}
