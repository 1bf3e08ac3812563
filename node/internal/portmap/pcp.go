package portmap

import (
	"bytes"
	"context"
	"crypto/rand"
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

// pcp is the door to a PCP server.
type pcp struct {
	udp
	network Network
	nonce   nonce
}

func newPCP(n Network, u udp) *pcp {
	p := &pcp{udp: u, network: n}
	rand.Read(p.nonce[:])
	return p
}

func (p *pcp) protocol() Protocol { return PCP }

// probe sends ANNOUNCE. Any answer of this version will do: a server that knows
// no ANNOUNCE says so in one.
func (p *pcp) probe(ctx context.Context) error {
	return p.ask(ctx, pcpRequest(opAnnounce, p.network.Local, 0), func(b []byte) (bool, error) {
		a, err := parsePCP(b)
		return err == nil || isOther(b), firstOf(isOther(b), a.result)
	})
}

// firstOf tells why an answer to ANNOUNCE means that PCP is not spoken.
func firstOf(other bool, r pcpResult) error {
	if other || r == pcpUnsupportedVersion {
		return errOtherVersion
	}
	return nil
}

func (p *pcp) open(ctx context.Context, want uint16) (g grant, err error) {
	a, err := p.mapping(ctx, want, lifetime)
	return grant{netip.AddrPortFrom(a.external, a.externalPort), a.lifetime}, err
}

func (p *pcp) shut(ctx context.Context, g grant) error {
	_, err := p.mapping(ctx, g.external.Port(), 0)
	return err
}

func (p *pcp) mapping(ctx context.Context, want uint16, life time.Duration) (a pcpAnswer, err error) {
	request := pcpMapRequest(p.nonce, p.network, want, life)
	err = p.ask(ctx, request, func(b []byte) (bool, error) {
		got, err := parsePCP(b)
		if err != nil || got.opcode != opMap || got.nonce != p.nonce || got.internal != p.network.Port {
			return false, nil // not an answer to this (RFC 6887, section 11.4)
		}
		a = got
		return true, got.result.err()
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

func pcpMapRequest(id nonce, n Network, external uint16, life time.Duration) []byte {
	b := append(pcpRequest(opMap, n.Local, life), id[:]...)
	b = append(b, protocolUDP, 0, 0, 0)
	b = binary.BigEndian.AppendUint16(b, n.Port)
	b = binary.BigEndian.AppendUint16(b, external)
	any := netip.IPv6Unspecified() // no preference: all zeros, in the family of the mapping
	if n.Local.Is4() {
		any = netip.AddrFrom4([4]byte{})
	}
	addr := any.As16()
	return append(b, addr[:]...)
}

// pcpAnswer is an answer. What follows lifetime is valid iff opcode is opMap.
type pcpAnswer struct {
	opcode                 byte
	result                 pcpResult
	lifetime               time.Duration
	nonce                  nonce
	internal, externalPort uint16
	external               netip.Addr
}

// isOther tells whether an answer is of a server that speaks another version:
// NAT-PMP's 0, or a later one.
func isOther(b []byte) bool { return len(b) >= 4 && b[0] != pcpVersion && b[1]&isAnswer != 0 }

// parsePCP reads an answer. Options behind it are passed over.
func parsePCP(b []byte) (a pcpAnswer, err error) {
	if len(b) < pcpHeaderSize || len(b) > pcpMaxSize || len(b)%4 != 0 || b[0] != pcpVersion || b[1]&isAnswer == 0 {
		return a, errMalformed
	}
	a.opcode, a.result = b[1]&^isAnswer, pcpResult(b[3])
	a.lifetime = time.Duration(binary.BigEndian.Uint32(b[4:])) * time.Second
	if a.opcode != opMap {
		return a, nil
	}
	if len(b) < pcpMapSize {
		return a, errMalformed
	}
	body := b[pcpHeaderSize:]
	if body[12] != protocolUDP || !bytes.Equal(body[13:16], []byte{0, 0, 0}) {
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
