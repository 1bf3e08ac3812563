package integration

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pion/stun/v3"
	"golang.zx2c4.com/wireguard/conn"
	"golang.zx2c4.com/wireguard/device"
	"golang.zx2c4.com/wireguard/tun/tuntest"

	"github.com/cordonmesh/cordon/coordinator/wire/key"
	"github.com/cordonmesh/cordon/integration/lab"
)

// identity is what a node's state directory holds, in the wrong hands.
type identity struct {
	node   key.NodePrivate
	tunnel key.TunnelPrivate
	path   key.PathPrivate
}

func stolen(t *testing.T, d *lab.Daemon) (id identity) {
	t.Helper()
	read := func(name string) string {
		text, err := os.ReadFile(filepath.Join(d.State, name))
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(text))
	}
	var errs [3]error
	id.node, errs[0] = key.ParseNodePrivate(read("node.key"))
	id.tunnel, errs[1] = key.ParseTunnelPrivate(read("tunnel.key"))
	id.path, errs[2] = key.ParsePathPrivate(read("path.key"))
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
	return id
}

// rogue is a node whose daemon was replaced by stock wireguard-go: it has the
// node's keys and speaks to one peer, and there is no filter in it.
type rogue struct {
	socket *net.UDPConn
	device *device.Device
	tun    *tuntest.ChannelTUN
	probe  key.ProbeKey // of the pair
	name   string       // of the pair in a probe that the rogue sends
	peer   netip.AddrPort
	end    chan struct{}
}

// replace takes a node's daemon away and puts a rogue in its place, that speaks
// to the daemon of another node.
func (s *scene) replace(t *testing.T, name, victim string) *rogue {
	t.Helper()
	to := s.nodes[victim]
	st, err := to.Status()
	if err != nil {
		t.Fatal(err)
	}
	s.nodes[name].Process.Kill()
	us, them := stolen(t, s.nodes[name]), stolen(t, to)
	r := &rogue{tun: tuntest.NewChannelTUN(), peer: netip.AddrPortFrom(to.Host.Addr4(), st.Port), end: make(chan struct{})}
	if r.probe, err = us.path.Agree(them.path.Public()); err != nil {
		t.Fatal(err)
	}
	r.name = shortName(them.node) + ":" + shortName(us.node)
	err = s.Host(name).Do(func() (err error) {
		r.socket, err = net.ListenUDP("udp4", &net.UDPAddr{})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	r.device = device.NewDevice(r.tun.TUN(), r, device.NewLogger(device.LogLevelSilent, ""))
	t.Cleanup(r.close)
	secret, public := us.tunnel.Raw(), them.tunnel.Public().Raw()
	if err := r.device.IpcSet(fmt.Sprintf("private_key=%x\npublic_key=%x\nendpoint=%s\nallowed_ip=0.0.0.0/0\nallowed_ip=::/0\n", secret, public, r.peer)); err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			select {
			case <-r.tun.Inbound: // what comes back is nothing to us
			case <-r.end:
				return
			}
		}
	}()
	if err := r.device.Up(); err != nil {
		t.Fatal(err)
	}
	return r
}

func shortName(k key.NodePrivate) string {
	raw := k.Public().Raw()
	sum := sha256.Sum256(raw[:])
	return hex.EncodeToString(sum[:8])
}

func (r *rogue) close() {
	r.socket.Close()
	r.device.Close()
	close(r.end)
}

// send puts packets into the tunnel as they are, in their order.
func (r *rogue) send(packets ...lab.IP) {
	for _, p := range packets {
		r.tun.Outbound <- p.Bytes()
	}
}

// knock asks the peer for a path, as an honest node would.
func (r *rogue) knock(t *testing.T) {
	t.Helper()
	m, err := stun.Build(stun.TransactionID, stun.BindingRequest, stun.NewUsername(r.name), stun.MessageIntegrity(r.probe[:]))
	if err == nil {
		_, err = r.socket.WriteToUDPAddrPort(m.Raw, r.peer)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// answer says to a probe that this end has the path key, which is true.
func (r *rogue) answer(datagram []byte, from netip.AddrPort) {
	m := &stun.Message{Raw: append([]byte(nil), datagram...)}
	if m.Decode() != nil || m.Type != stun.BindingRequest || stun.MessageIntegrity(r.probe[:]).Check(m) != nil {
		return
	}
	seen := &stun.XORMappedAddress{IP: from.Addr().AsSlice(), Port: int(from.Port())}
	out, err := stun.Build(stun.NewTransactionIDSetter(m.TransactionID), stun.BindingSuccess, seen, stun.MessageIntegrity(r.probe[:]))
	if err == nil {
		r.socket.WriteToUDPAddrPort(out.Raw, from)
	}
}

// The rest is the bind of the rogue's device.

func (r *rogue) Open(uint16) ([]conn.ReceiveFunc, uint16, error) {
	r.socket.SetReadDeadline(time.Time{}) // of a Close before
	receive := func(bufs [][]byte, sizes []int, eps []conn.Endpoint) (int, error) {
		for {
			n, from, err := r.socket.ReadFromUDPAddrPort(bufs[0])
			if err != nil {
				return 0, net.ErrClosed
			}
			if stun.IsMessage(bufs[0][:n]) {
				r.answer(bufs[0][:n], from)
				continue
			}
			sizes[0], eps[0] = n, &conn.StdNetEndpoint{AddrPort: from}
			return 1, nil
		}
	}
	return []conn.ReceiveFunc{receive}, r.socket.LocalAddr().(*net.UDPAddr).AddrPort().Port(), nil
}

func (r *rogue) Close() error         { return r.socket.SetReadDeadline(time.Unix(1, 0)) }
func (r *rogue) SetMark(uint32) error { return nil }
func (r *rogue) BatchSize() int       { return 1 }

func (r *rogue) Send(bufs [][]byte, ep conn.Endpoint) error {
	to, err := netip.ParseAddrPort(ep.DstToString())
	for _, b := range bufs {
		if err == nil {
			_, err = r.socket.WriteToUDPAddrPort(b, to)
		}
	}
	return err
}

func (r *rogue) ParseEndpoint(text string) (conn.Endpoint, error) {
	to, err := netip.ParseAddrPort(text)
	return &conn.StdNetEndpoint{AddrPort: to}, err
}
