package portmap

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// RFC 6886, sections 3.2 and 3.3.
//
//	address request  version=0 | opcode=0
//	address answer   version=0 | opcode=128 | result 2 | epoch 4 | external address 4
//	map request      version=0 | opcode=1 (UDP) | reserved 2 | internal port 2 | external port 2 | lifetime 4
//	map answer       version=0 | opcode=129 | result 2 | epoch 4 | internal port 2 | external port 2 | lifetime 4
const (
	opAddress         = 0
	opMapUDP          = 1
	natpmpAddressSize = 12
	natpmpMapSize     = 16
)

// natpmp is the door to a NAT-PMP server.
type natpmp struct {
	udp
	network Network
	epoch
}

func newNATPMP(n Network, u udp) *natpmp {
	return &natpmp{udp: u, network: n, epoch: epoch{drift: natpmpDrift}}
}

func (p *natpmp) protocol() Protocol { return NATPMP }

func (p *natpmp) probe(ctx context.Context) error {
	_, err := p.address(ctx)
	return err
}

func (p *natpmp) address(ctx context.Context) (addr netip.Addr, err error) {
	err = p.ask(ctx, []byte{0, opAddress}, func(b []byte) (bool, error) {
		a, err := p.answer(b, opAddress)
		if errors.Is(err, errMalformed) {
			return false, nil
		}
		addr = a.external
		return true, err
	})
	return addr, err
}

// open asks for the address first: a gateway that has none makes no mapping that
// nobody is told of.
func (p *natpmp) open(ctx context.Context, want netip.AddrPort) (g grant, err error) {
	addr, err := p.address(ctx)
	if err != nil {
		return g, err
	}
	a, err := p.mapping(ctx, want.Port(), lifetime)
	if err == nil {
		p.granted()
	}
	return grant{netip.AddrPortFrom(addr, a.externalPort), a.lifetime}, err
}

// shut asks for a mapping of no length; the external port must then be 0 (RFC
// 6886, section 3.4).
func (p *natpmp) shut(ctx context.Context, _ grant) error {
	_, err := p.mapping(ctx, 0, 0)
	return err
}

func (p *natpmp) mapping(ctx context.Context, want uint16, life time.Duration) (a natpmpAnswer, err error) {
	err = p.ask(ctx, natpmpMapRequest(p.network.Port, want, life), func(b []byte) (bool, error) {
		got, err := p.answer(b, opMapUDP)
		if errors.Is(err, errMalformed) || err == nil && got.internal != p.network.Port {
			return false, nil
		}
		a = got
		return true, err
	})
	return a, err
}

// answer reads an answer to opcode, and hears its clock. A refusal may lack what
// it refuses, so it has no port to compare.
func (p *natpmp) answer(b []byte, opcode byte) (natpmpAnswer, error) {
	a, err := parseNATPMP(b)
	if errors.Is(err, errMalformed) || errors.Is(err, errOtherVersion) {
		return a, err
	}
	if a.opcode != opcode {
		return a, errMalformed
	}
	if a.timed {
		p.hear(a.epoch, time.Now())
	}
	return a, err
}

func natpmpMapRequest(internal, external uint16, life time.Duration) []byte {
	b := []byte{0, opMapUDP, 0, 0}
	b = binary.BigEndian.AppendUint16(b, internal)
	b = binary.BigEndian.AppendUint16(b, external)
	return binary.BigEndian.AppendUint32(b, uint32(life/time.Second))
}

// natpmpAnswer is an answer. external is valid iff opcode is opAddress, what
// follows it iff that is opMapUDP.
type natpmpAnswer struct {
	opcode                 byte
	timed                  bool   // epoch is valid
	epoch                  uint32 // seconds since the server started with no mappings
	external               netip.Addr
	internal, externalPort uint16
	lifetime               time.Duration
}

// parseNATPMP reads an answer. Its error is errMalformed, errOtherVersion (a
// server of PCP alone says so in a PCP answer), or the server's refusal, which
// may be shorter than what it refuses.
func parseNATPMP(b []byte) (a natpmpAnswer, err error) {
	switch {
	case len(b) >= 4 && len(b) <= pcpMaxSize && b[0] != 0 && b[1]&isAnswer != 0:
		return a, errOtherVersion
	case len(b) < 4 || len(b) > natpmpMapSize || b[1]&isAnswer == 0:
		return a, errMalformed
	}
	a.opcode = b[1] &^ isAnswer
	if a.timed = len(b) >= 8; a.timed {
		a.epoch = binary.BigEndian.Uint32(b[4:])
	}
	if err := natpmpResult(binary.BigEndian.Uint16(b[2:])); err != nil {
		return a, err
	}
	switch {
	case a.opcode == opAddress && len(b) == natpmpAddressSize:
		a.external = netip.AddrFrom4([4]byte(b[8:12]))
	case a.opcode == opMapUDP && len(b) == natpmpMapSize:
		a.internal = binary.BigEndian.Uint16(b[8:])
		a.externalPort = binary.BigEndian.Uint16(b[10:])
		a.lifetime = time.Duration(binary.BigEndian.Uint32(b[12:])) * time.Second
	default:
		return a, errMalformed
	}
	return a, nil
}

// natpmpResult puts a result code into words (RFC 6886, section 3.5).
func natpmpResult(code uint16) error {
	switch code {
	case 0:
		return nil
	case 1:
		return errOtherVersion
	case 2:
		return fmt.Errorf("it refused: it does not permit it (result 2)")
	case 3:
		return fmt.Errorf("it refused: its own uplink is down (result 3)")
	case 4:
		return fmt.Errorf("it refused: it has no room for another mapping (result 4)")
	}
	return fmt.Errorf("it refused: result %d", code)
}
