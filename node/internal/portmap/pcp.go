package portmap

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"net/netip"
	"time"
)

// RFC 6887, sections 7.1, 7.2, 11.1 and 19.
//
//	header   version=2 | R opcode | reserved 2 | lifetime 4 | client's address 16
//	answer   version=2 | R opcode | reserved 1, result 1 | lifetime 4 | epoch 4 | reserved 12
//	MAP      nonce 12 | protocol 1 | reserved 3 | internal port 2 | external port 2 | external address 16
const (
	pcpVersion    = 2
	pcpHeaderSize = 24
	pcpMapSize    = pcpHeaderSize + 36
	pcpMaxSize    = 1100
	opAnnounce    = 0
	opMap         = 1
	isAnswer      = 0x80
	protocolUDP   = 17
)

// nonce ties an answer to its request, and a renewal to its mapping.
type nonce [12]byte

// nonceOf gives the nonce of a network's mapping: to others random, and the same
// whenever this client is in that network. A gateway refuses another one as long
// as the mapping of an earlier stay lives (RFC 6887, section 11.3).
func nonceOf(n Network, secret [32]byte) (id nonce) {
	sum := sha256.Sum256(fmt.Appendf(secret[:], "%v %v %d", n.Gateway, n.Local, n.Port))
	copy(id[:], sum[:])
	return id
}

// pcp is the door to a PCP server.
type pcp struct {
	udp
	network Network
	nonce   nonce
	epoch
}

func newPCP(n Network, u udp, secret [32]byte) *pcp {
	return &pcp{udp: u, network: n, nonce: nonceOf(n, secret), epoch: epoch{drift: pcpDrift}}
}

func (p *pcp) protocol() Protocol { return PCP }

// probe sends ANNOUNCE. Any answer of this version will do: a server that knows
// no ANNOUNCE says so in one.
func (p *pcp) probe(ctx context.Context) error {
	return p.ask(ctx, pcpRequest(opAnnounce, p.network.Local, 0), func(b []byte) (bool, error) {
		if isOther(b) {
			return true, errOtherVersion
		}
		a, err := parsePCP(b)
		if err != nil || a.opcode != opAnnounce {
			return false, nil
		}
		p.hear(a.epoch, time.Now())
		if a.result == pcpUnsupportedVersion {
			return true, errOtherVersion
		}
		return true, nil
	})
}

// open suggests the address as well as the port: a gateway that forgot the
// mapping can then give the same again (RFC 6887, section 11.2.1).
func (p *pcp) open(ctx context.Context, want netip.AddrPort) (g grant, err error) {
	a, err := p.mapping(ctx, want, lifetime)
	if err == nil {
		p.granted()
	}
	return grant{netip.AddrPortFrom(a.external, a.externalPort), a.lifetime}, err
}

// shut asks for a mapping of no length; then nothing is suggested (RFC 6887,
// section 15.1).
func (p *pcp) shut(ctx context.Context, _ grant) error {
	_, err := p.mapping(ctx, netip.AddrPortFrom(unspecified(p.network.Local), 0), 0)
	return err
}

func (p *pcp) mapping(ctx context.Context, want netip.AddrPort, life time.Duration) (a pcpAnswer, err error) {
	request := pcpMapRequest(p.nonce, p.network, want, life)
	err = p.ask(ctx, request, func(b []byte) (bool, error) {
		got, err := parsePCP(b)
		if err != nil || got.opcode != opMap || got.nonce != p.nonce || got.internal != p.network.Port {
			return false, nil // not an answer to this (RFC 6887, section 11.4)
		}
		a = got
		p.hear(a.epoch, time.Now())
		return true, a.result.err()
	})
	return a, err
}

func pcpRequest(opcode byte, client netip.Addr, life time.Duration) []byte {
	b := make([]byte, 0, pcpMapSize)
	b = append(b, pcpVersion, opcode, 0, 0)
	b = binary.BigEndian.AppendUint32(b, uint32(life/time.Second))
	addr := client.As16()
	return append(b, addr[:]...)
}

func pcpMapRequest(id nonce, n Network, want netip.AddrPort, life time.Duration) []byte {
	b := append(pcpRequest(opMap, n.Local, life), id[:]...)
	b = append(b, protocolUDP, 0, 0, 0)
	b = binary.BigEndian.AppendUint16(b, n.Port)
	b = binary.BigEndian.AppendUint16(b, want.Port())
	addr := want.Addr().As16()
	return append(b, addr[:]...)
}

// unspecified is how a request says "any address" of the family of a: an IPv4
// one is written mapped (RFC 6887, section 5).
func unspecified(a netip.Addr) netip.Addr {
	if a.Is4() {
		return netip.IPv4Unspecified()
	}
	return netip.IPv6Unspecified()
}

// pcpAnswer is an answer. What follows epoch is valid iff opcode is opMap.
type pcpAnswer struct {
	opcode                 byte
	result                 pcpResult
	lifetime               time.Duration
	epoch                  uint32 // seconds since the server started with no mappings
	nonce                  nonce
	internal, externalPort uint16
	external               netip.Addr
}

// isOther tells whether an answer is of a server that speaks another version:
// NAT-PMP's 0, or a later one.
func isOther(b []byte) bool { return len(b) >= 4 && b[0] != pcpVersion && b[1]&isAnswer != 0 }

// parsePCP reads an answer. Options behind it are passed over, and so is what is
// reserved: it "MUST be ignored on reception".
func parsePCP(b []byte) (a pcpAnswer, err error) {
	if len(b) < pcpHeaderSize || len(b) > pcpMaxSize || len(b)%4 != 0 || b[0] != pcpVersion || b[1]&isAnswer == 0 {
		return a, errMalformed
	}
	a.opcode, a.result = b[1]&^isAnswer, pcpResult(b[3])
	a.lifetime = time.Duration(binary.BigEndian.Uint32(b[4:])) * time.Second
	a.epoch = binary.BigEndian.Uint32(b[8:])
	if a.opcode != opMap {
		return a, nil
	}
	if len(b) < pcpMapSize {
		return a, errMalformed
	}
	body := b[pcpHeaderSize:]
	if body[12] != protocolUDP {
		return a, errMalformed
	}
	copy(a.nonce[:], body)
	a.internal = binary.BigEndian.Uint16(body[16:])
	a.externalPort = binary.BigEndian.Uint16(body[18:])
	a.external = netip.AddrFrom16([16]byte(body[20:36])).Unmap()
	return a, nil
}

// pcpResult is a result code (RFC 6887, section 7.4).
type pcpResult uint8

const (
	pcpSuccess            pcpResult = 0
	pcpUnsupportedVersion pcpResult = 1
)

func (r pcpResult) err() error {
	if r == pcpSuccess {
		return nil
	}
	words := [...]string{
		1: "it speaks another version", 2: "it does not permit it", 3: "it could not read the request", 4: "it knows no mappings",
		5: "it does not know an option", 6: "it could not read an option", 7: "its own uplink is down", 8: "it has no room for another mapping",
		9: "it does not map UDP", 10: "this machine has used up its quota", 11: "it cannot give that external address",
		12: "it sees this machine at another address: there is a NAT between", 13: "too many remote peers",
	}
	if int(r) < len(words) {
		return fmt.Errorf("it refused: %s (result %d)", words[r], r)
	}
	return fmt.Errorf("it refused: result %d", r)
}
