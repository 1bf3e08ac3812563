package userspace_test

import (
	"bytes"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/blake2s"
	"golang.zx2c4.com/wireguard/device"

	"github.com/cordonmesh/cordon/coordinator/wire/key"
	"github.com/cordonmesh/cordon/node/internal/plane/planetest"
	"github.com/cordonmesh/cordon/node/internal/plane/userspace"
)

// One end has given the other up and the other has not: its next packet is not
// lost in a session that only it knows, nor does its handshake wait for a probe.
func TestWhoeverIsStillHeldIsHeardAtOnce(t *testing.T) {
	for _, held := range []string{"A", "B"} {
		t.Run("only "+held+" has the other", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCouple(t)
				defer c.end()
				from, to, packet, inA, inB := c.b, c.a, back(1), 0, 1
				if held == "A" {
					from, to, packet, inA, inB = c.a, c.b, there(1), 1, 0
				}
				for pause := time.Second; pause < 20*time.Second; pause += 3 * time.Second {
					c.a.tun.Send(there(1))
					c.arrive("before", c.b, there(1))
					time.Sleep(pause) // who is first to let go depends on who was heard last
					c.b.tun.Send(back(53))
					c.arrive("before", c.a, back(53))
					if c.gone(inA, inB) {
						from.tun.Send(packet)
						c.arrive("after a silence", to, packet)
						return
					}
				}
				t.Fatalf("it never came to %d peers in A and %d in B", inA, inB)
			})
		})
	}
}

// gone passes time until one of the planes has let go, and tells whether it came
// to this.
func (c *couple) gone(inA, inB int) bool {
	for range 300 {
		time.Sleep(time.Second)
		synctest.Wait()
		a, _ := c.a.Stats()
		b, _ := c.b.Stats()
		if a.Tunnels+b.Tunnels < 2 {
			return a.Tunnels == inA && b.Tunnels == inB
		}
	}
	return false
}

// A session must be dead at both ends before either lets go.
func TestNobodyIsGivenUpWhileItsSessionLives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCouple(t)
		defer c.end()
		c.a.tun.Send(there(1))
		c.arrive("the first", c.b, there(1))
		for range 30 {
			time.Sleep(170 * time.Second)
			c.tunnels("while it is used", c.a, 1)
			c.tunnels("while it is used", c.b, 1)
			c.b.tun.Send(back(53))
			c.arrive("one in three minutes", c.a, back(53))
		}
		time.Sleep(185 * time.Second)
		c.tunnels("just after the session's end", c.a, 1)
		c.until(0, 0)
	})
}

// Who recorded initiations cannot bring peers in with them, and what is forged
// brings in nobody at all.
func TestOnlyAFreshHandshakeBringsAPeerIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCouple(t)
		defer c.end()
		c.b.tun.Send(back(1))
		c.arrive("the first", c.a, back(1))
		c.until(0, 0)
		to, err := c.strange.ParseEndpoint("cordon:n-a")
		if err != nil {
			t.Fatal(err)
		}
		send := func(b []byte) {
			_ = c.strange.Send([][]byte{b}, to)
			synctest.Wait()
		}
		for _, recorded := range c.tap.sent {
			send(recorded)
			c.tunnels("after a recorded initiation", c.a, 0)
			for i := range recorded {
				forged := bytes.Clone(recorded)
				forged[i] ^= 1
				send(forged)
				send(c.sealed(forged))
			}
			c.tunnels("after forged ones", c.a, 0)
			time.Sleep(time.Second) // so many are read in one
		}
		stranger := start(t, planetest.NewTUN(8), c.net, "n-x", io.Discard)
		defer stranger.Close()
		synctest.Wait()
		cfg := config(key.NewTunnel(), planetest.B4, peer("n-a", c.keyA.Public(), planetest.A4))
		cfg.Rules = c.cfgB.Rules
		c.configure(stranger, &cfg)
		stranger.tun.Send(back(1))
		c.tunnels("after a stranger's handshake", c.a, 0)
		c.b.tun.Send(back(1))
		c.arrive("the peer's own", c.a, back(1))
	})
}

// sealed gives a message for A its first MAC, which asks for nothing but A's public
// key (the WireGuard paper, section 5.4.4).
func (c *couple) sealed(b []byte) []byte {
	c.t.Helper()
	at, public := len(b)-2*blake2s.Size128, c.keyA.Public().Raw()
	k := blake2s.Sum256(append([]byte(device.WGLabelMAC1), public[:]...))
	mac, err := blake2s.New128(k[:])
	if err != nil {
		c.t.Fatal(err)
	}
	mac.Write(b[:at])
	return append(mac.Sum(b[:at:at]), make([]byte, blake2s.Size128)...)
}

// A newcomer may begin before the other end's map names it: it need not begin
// again.
func TestHandshakeThatComesBeforeTheMapIsNotLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCouple(t)
		defer c.end()
		peers := c.cfgA.Peers
		c.cfgA.Peers = nil
		c.configure(c.a, &c.cfgA)
		c.b.tun.Send(back(1))
		c.arrive("before the map names its sender", c.a)
		time.Sleep(3 * time.Second)
		c.cfgA.Peers = peers
		c.configure(c.a, &c.cfgA)
		c.arrive("when it does", c.a, back(1))
	})
}

// A peer whose clock is right may begin anew as often as it likes: it restarts,
// while the other end has it, and while it does not.
func TestRestartedPeerIsHeardAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCouple(t)
		defer c.end()
		for _, silence := range []time.Duration{time.Second, 100 * time.Second, 10 * time.Minute} {
			c.b.tun.Send(back(1))
			c.arrive("before", c.a, back(1))
			time.Sleep(silence)
			c.b.Close()
			c.b.tun = planetest.NewTUN(8)
			c.b.Keeping = keep(t, userspace.Options{TUN: c.b.tun, Bind: c.net.Bind("n-b"), Now: now})
			synctest.Wait()
			c.configure(c.b, &c.cfgB)
			c.b.tun.Send(back(1))
			c.arrive("after a restart", c.a, back(1))
			c.a.tun.Send(there(53))
			c.arrive("the answer", c.b, there(53))
		}
		if !c.b.Greet("n-a") || c.b.Greet("n-nobody") {
			t.Error("the peer of the map cannot be greeted, or one who is not in it can")
		}
	})
}
