package portmap_test

import (
	"bytes"
	"encoding/binary"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cordonmesh/cordon/node/internal/portmap"
)

// change gives a copy of an answer with bytes of it replaced.
func change(answer []byte, at int, with ...byte) []byte {
	out := bytes.Clone(answer)
	copy(out[at:], with)
	return out
}

// pcpLies are answers to MAP that are none, though each names an address that
// somebody would like to see told.
func pcpLies(answer []byte) map[string][]byte {
	lie := change(answer, 56, 192, 0, 2, 66)
	return map[string][]byte{
		"nonce":         change(lie, 24, ^lie[24]),
		"end of nonce":  change(lie, 35, ^lie[35]),
		"internal port": change(lie, 40, ^lie[40]),
		"protocol":      change(lie, 36, 6),
		"opcode":        change(lie, 1, 0x82),
		"a request":     change(lie, 1, 0x01),
		"version":       change(lie, 0, 1),
		"cut":           lie[:56],
		"odd length":    append(bytes.Clone(lie), 0),
		"oversized":     append(bytes.Clone(lie), make([]byte, 1044)...),
		"empty":         {},
	}
}

func natpmpLies(answer []byte) map[string][]byte {
	lie := change(answer, 10, 6, 6)
	return map[string][]byte{
		"internal port": change(lie, 8, ^lie[8]),
		"opcode":        change(lie, 1, 0x82),
		"a request":     change(lie, 1, 0x01),
		"cut":           lie[:15],
		"oversized":     append(bytes.Clone(lie), 0),
		"refusal":       {0, 0x80, 0, 2, 0, 0, 0, 0}, // of an address, which was not asked for
		"address":       {0, 0x80, 0, 0, 0, 0, 0, 0, 192, 0, 2, 66},
	}
}

// TestAnswersThatAreNone are passed over: alone they are silence, and before the
// true answer they change nothing.
func TestAnswersThatAreNone(t *testing.T) {
	for protocol, lies := range map[string]func([]byte) map[string][]byte{"PCP": pcpLies, "NAT-PMP": natpmpLies} {
		for name := range lies(make([]byte, 60)) {
			for _, alone := range []bool{true, false} {
				synctest.Test(t, func(t *testing.T) {
					a := newAir(t)
					r := a.put("192.168.1.1", newRouter(protocol))
					r.hostile = func(request, answer []byte) [][]byte {
						switch {
						case request[0] == 0 && protocol == "PCP", request[1] != 1:
							return [][]byte{answer}
						case alone:
							return [][]byte{lies(answer)[name]}
						}
						return [][]byte{lies(answer)[name], answer}
					}
					n := run(t, func(c *portmap.Client) { a.prepare(c); c.SetNetwork(home()) })
					s := n.until(t, func(s portmap.Status) bool { return mapped(s) || failed(s) })
					switch {
					case alone && !strings.Contains(s.Why, protocol+": no answer"):
						t.Errorf("%s, %s alone: the status is %+v", protocol, name, s)
					case !alone && s.External != netip.MustParseAddrPort("203.0.113.7:41641"):
						t.Errorf("%s, %s first: the status is %+v", protocol, name, s)
					}
				})
			}
		}
	}
}

// TestAnswersFromElsewhere come from another host, and from another port of the
// gateway, before the true one.
func TestAnswersFromElsewhere(t *testing.T) {
	for _, protocol := range []string{"PCP", "NAT-PMP"} {
		r := newRouter(protocol)
		liar := newRouter(protocol)
		liar.external = netip.MustParseAddr("192.0.2.66")
		var sockets []*net.UDPConn
		for _, host := range []string{"127.0.0.2", "127.0.0.1"} {
			conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(host), 0)))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			sockets = append(sockets, conn)
		}
		r.ambush = func(from netip.AddrPort, request []byte) {
			for _, s := range sockets {
				for _, lie := range liar.datagram(from.Addr().Unmap(), request) {
					s.WriteToUDPAddrPort(lie, from)
				}
			}
		}
		prepare := r.onLoopback(t, "127.0.0.1")
		n := run(t, func(c *portmap.Client) { prepare(c); c.SetNetwork(loopback("127.0.0.1", 41641)) })
		if s := n.until(t, mapped); s.External.Addr() != r.external {
			t.Errorf("%s: the status is %+v", protocol, s)
		}
		if len(liar.requests()) == 0 {
			t.Errorf("%s: nobody lied", protocol)
		}
	}
}

// TestGrantsThatCannotBe are refused in words, and given back.
func TestGrantsThatCannotBe(t *testing.T) {
	for _, external := range []string{"0.0.0.0", "0.1.2.3", "127.0.0.1", "224.0.0.1", "239.1.2.3", "255.255.255.255", "240.0.0.1", "169.254.1.1", "2001:db8::1", "::1"} {
		for _, protocol := range []string{"PCP", "NAT-PMP", "UPnP"} {
			addr := netip.MustParseAddr(external)
			if protocol == "NAT-PMP" && addr.Is6() {
				continue // it has no words for one
			}
			synctest.Test(t, func(t *testing.T) {
				a := newAir(t)
				r := a.put("192.168.1.1", newRouter(protocol))
				r.external = addr
				n := run(t, func(c *portmap.Client) { a.prepare(c); c.SetNetwork(home()) })
				s := n.until(t, func(s portmap.Status) bool { return mapped(s) || failed(s) })
				if mapped(s) || !strings.Contains(s.Why, "external address") {
					t.Errorf("%s at %v: the status is %+v", protocol, external, s)
				}
				if r.mapped(inside(home())) != 0 {
					t.Errorf("%s at %v: a mapping that nobody uses is left", protocol, external)
				}
			})
		}
	}
}

// TestRenewalThatCannotBe ends the mapping: it was given back.
func TestRenewalThatCannotBe(t *testing.T) {
	for _, protocol := range []string{"PCP", "NAT-PMP"} {
		synctest.Test(t, func(t *testing.T) {
			n, r := lives(t, protocol)
			n.until(t, mapped)
			r.set(func() { r.external = netip.IPv4Unspecified() })
			began := time.Now()
			n.SetNetwork(home())
			if s := n.until(t, failed); !strings.Contains(s.Why, "external address") || r.mapped(inside(home())) != 0 {
				t.Errorf("%s: the status is %+v", protocol, s)
			}
			if d := time.Since(began); d > 10*time.Second {
				t.Errorf("%s: it was told for %v more", protocol, d)
			}
		})
	}
}

// TestLifetimes: too short ones are refused, and long ones do not make us wait
// for longer than a restarted gateway may be without the mapping.
func TestLifetimes(t *testing.T) {
	for seconds, ok := range map[uint32]bool{0: false, 1: false, 29: false, 30: true, 1 << 31: true, 1<<32 - 1: true} {
		for protocol, at := range map[string]int{"PCP": 4, "NAT-PMP": 12} {
			synctest.Test(t, func(t *testing.T) {
				a := newAir(t)
				r := a.put("192.168.1.1", newRouter(protocol))
				r.hostile = func(request, answer []byte) [][]byte {
					if request[1] == 1 && len(answer) > at {
						binary.BigEndian.PutUint32(answer[at:], seconds)
					}
					return [][]byte{answer}
				}
				n := run(t, func(c *portmap.Client) { a.prepare(c); c.SetNetwork(home()) })
				s := n.until(t, func(s portmap.Status) bool { return mapped(s) || failed(s) })
				if mapped(s) != ok || time.Until(s.Until) > 24*time.Hour {
					t.Errorf("%s for %d seconds: the status is %+v", protocol, seconds, s)
				}
				r.requests()
				time.Sleep(portmap.Lifetime*5/8 + time.Second)
				asked := r.requests()
				if ok && len(asked) == 0 || len(asked) > 2*int(portmap.Lifetime*5/8/(15*time.Second)) {
					t.Errorf("%s for %d seconds: it then sent %d requests", protocol, seconds, len(asked))
				}
			})
		}
	}
}

// TestExternalPortZero is none.
func TestExternalPortZero(t *testing.T) {
	for protocol, at := range map[string]int{"PCP": 42, "NAT-PMP": 10} {
		synctest.Test(t, func(t *testing.T) {
			a := newAir(t)
			r := a.put("192.168.1.1", newRouter(protocol))
			r.hostile = func(request, answer []byte) [][]byte {
				if request[1] == 1 && len(answer) > at {
					answer = change(answer, at, 0, 0)
				}
				return [][]byte{answer}
			}
			n := run(t, func(c *portmap.Client) { a.prepare(c); c.SetNetwork(home()) })
			if s := n.until(t, func(s portmap.Status) bool { return mapped(s) || failed(s) }); mapped(s) {
				t.Errorf("%s: the status is %+v", protocol, s)
			}
		})
	}
}

// TestGatewayThatAnnouncesAndMapsNothing speaks each protocol, and stays silent
// when asked to map, longer than a better protocol is waited for: the search goes
// on to the next one, and ends.
func TestGatewayThatAnnouncesAndMapsNothing(t *testing.T) {
	for _, silent := range [][]byte{{2}, {2, 0}} {
		synctest.Test(t, func(t *testing.T) {
			a := newAir(t)
			r := a.put("192.168.1.1", newRouter("PCP", "NAT-PMP", "UPnP"))
			r.hostile = func(request, answer []byte) [][]byte {
				if request[1] == 1 && slices.Contains(silent, request[0]) {
					return nil
				}
				return [][]byte{answer}
			}
			n := run(t, func(c *portmap.Client) { a.prepare(c); c.SetNetwork(home()) })
			if s := n.until(t, mapped); int(s.Protocol) != len(silent)+1 {
				t.Errorf("the status is %+v", s)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		a := newAir(t)
		r := a.put("192.168.1.1", newRouter("PCP", "NAT-PMP", "UPnP"))
		r.web.control = nothing()
		r.hostile = func(request, answer []byte) [][]byte {
			if request[1] == 1 {
				return nil
			}
			return [][]byte{answer}
		}
		n := run(t, func(c *portmap.Client) { a.prepare(c); c.SetNetwork(home()) })
		n.until(t, failed)
	})
}

// TestFlood of a gateway ends with the time that an answer has.
func TestFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAir(t)
		r := a.put("192.168.1.1", newRouter("PCP"))
		r.hostile = func(_, answer []byte) [][]byte { return slices.Repeat([][]byte{change(answer, 0, 2, 0x82)}, 10_000) }
		began := time.Now()
		n := run(t, func(c *portmap.Client) { a.prepare(c); c.SetNetwork(home()) })
		n.until(t, failed)
		if d := time.Since(began); d > 4*time.Second {
			t.Errorf("the search took %v", d)
		}
	})
}
