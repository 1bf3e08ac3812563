package netstack_test

import (
	"crypto/ecdh"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.zx2c4.com/wireguard/conn"
	"golang.zx2c4.com/wireguard/device"

	"github.com/cordonmesh/cordon/netstack"
)

// tunnelled is two stacks with real WireGuard between them, over loopback.
func tunnelled(t testing.TB) (a, b *netstack.Stack) {
	t.Helper()
	var (
		stacks  [2]*netstack.Stack
		engines [2]*device.Device
		keys    [2]*ecdh.PrivateKey
		own     = [2]netip.Addr{a4, b4}
		ports   [2]int
	)
	for i := range stacks {
		var err error
		if keys[i], err = ecdh.X25519().GenerateKey(rand.Reader); err != nil {
			t.Fatal(err)
		}
		stacks[i] = newStack(t, netstack.Config{Addresses: []netip.Addr{own[i]}})
		engines[i] = device.NewDevice(stacks[i].Device(), conn.NewDefaultBind(), device.NewLogger(device.LogLevelSilent, ""))
		t.Cleanup(engines[i].Close)
		set(t, engines[i], "private_key="+hex.EncodeToString(keys[i].Bytes())+"\n")
		if err := engines[i].Up(); err != nil {
			t.Fatal(err)
		}
		ports[i] = listenPort(t, engines[i])
	}
	for i := range engines {
		peer := 1 - i
		set(t, engines[i], fmt.Sprintf("public_key=%x\nallowed_ip=%s/32\nendpoint=127.0.0.1:%d\n", keys[peer].PublicKey().Bytes(), own[peer], ports[peer]))
	}
	return stacks[0], stacks[1]
}

func set(t testing.TB, d *device.Device, config string) {
	t.Helper()
	if err := d.IpcSet(config); err != nil {
		t.Fatal(err)
	}
}

func listenPort(t testing.TB, d *device.Device) int {
	t.Helper()
	state, err := d.IpcGet()
	if err != nil {
		t.Fatal(err)
	}
	var port int
	for line := range strings.Lines(state) {
		if text, ok := strings.CutPrefix(strings.TrimSpace(line), "listen_port="); ok {
			port, err = strconv.Atoi(text)
		}
	}
	if err != nil || port == 0 {
		t.Fatalf("the engine names no port: %v", err)
	}
	return port
}

func TestThroughWireGuard(t *testing.T) {
	a, b := tunnelled(t)
	background(t, echo(listen(t, b, netip.AddrPortFrom(b4, 104))))
	if _, err := a.Ping(withPatience(t), b4); err != nil {
		t.Fatal(err)
	}
	c, err := a.DialContext(withPatience(t), "tcp", join(b4, 104))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	const size = 2 << 20
	c.SetDeadline(time.Now().Add(patience))
	go c.Write(make([]byte, size))
	if n, err := io.CopyN(io.Discard, c, size); err != nil {
		t.Fatalf("%d bytes came back: %v", n, err)
	}
}

// BenchmarkBulkWireGuard is one TCP stream between two rootless nodes.
func BenchmarkBulkWireGuard(b *testing.B) {
	from, to := tunnelled(b)
	ln := listen(b, to, netip.AddrPortFrom(b4, 104))
	bulk(b, ln, func() (net.Conn, error) { return from.DialContext(withPatience(b), "tcp", join(b4, 104)) })
}
