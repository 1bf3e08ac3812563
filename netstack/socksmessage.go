package netstack

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
)

// RFC 1928. Every length that a client can choose fits in one byte, so no
// message is longer than maxRequest.
const (
	socksVersion  = 5
	noAuth        = 0x00
	noMethod      = 0xff
	cmdConnect    = 1
	cmdAssociate  = 3
	addrIPv4      = 1
	addrName      = 3
	addrIPv6      = 4
	maxRequest    = 4 + 1 + 255 + 2
	udpHeaderSize = 3 // reserved, reserved, fragment
)

// socksReply is the REP of section 6.
type socksReply byte

const (
	replyOK          socksReply = 0
	replyFailure     socksReply = 1
	replyNotAllowed  socksReply = 2
	replyNetwork     socksReply = 3
	replyHost        socksReply = 4
	replyRefused     socksReply = 5
	replyCommand     socksReply = 7
	replyAddressType socksReply = 8
)

var (
	errSOCKSVersion = errors.New("socks: not version 5: set the client to SOCKS5 (socks5h for names)")
	errSOCKSAddress = errors.New("socks: address type is none of IPv4, IPv6, name")
	errSOCKSShort   = errors.New("socks: datagram ends inside its header")
	errSOCKSPart    = errors.New("socks: fragmented datagrams are not served")
)

// socksTarget is where a client wants to go: an address, or a name if addr is
// not valid.
type socksTarget struct {
	addr netip.Addr
	name string
	port uint16
}

func (t socksTarget) host() string {
	if t.addr.IsValid() {
		return t.addr.String()
	}
	return t.name
}

// readGreeting reads section 3's first message and says whether the client can
// do without authentication.
func readGreeting(r io.Reader) (open bool, err error) {
	var head [2]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return false, fmt.Errorf("socks: read greeting: %w", err)
	}
	if head[0] != socksVersion {
		return false, errSOCKSVersion
	}
	var methods [255]byte
	if _, err := io.ReadFull(r, methods[:head[1]]); err != nil {
		return false, fmt.Errorf("socks: read methods: %w", err)
	}
	for _, m := range methods[:head[1]] {
		if m == noAuth {
			return true, nil
		}
	}
	return false, nil
}

// readRequest reads section 4's request. On errSOCKSAddress the command is valid.
func readRequest(r io.Reader) (command byte, to socksTarget, err error) {
	var buf [maxRequest]byte
	if _, err := io.ReadFull(r, buf[:5]); err != nil {
		return 0, to, fmt.Errorf("socks: read request: %w", err)
	}
	if buf[0] != socksVersion {
		return 0, to, errSOCKSVersion
	}
	size, err := targetSize(buf[3], buf[4])
	if err != nil {
		return buf[1], to, err
	}
	if _, err := io.ReadFull(r, buf[5:3+size]); err != nil {
		return 0, to, fmt.Errorf("socks: read destination: %w", err)
	}
	to, _, err = parseTarget(buf[3 : 3+size])
	return buf[1], to, err
}

// targetSize counts type, address and port, given the type and the byte after it.
func targetSize(kind, next byte) (int, error) {
	switch kind {
	case addrIPv4:
		return 1 + 4 + 2, nil
	case addrIPv6:
		return 1 + 16 + 2, nil
	case addrName:
		return 1 + 1 + int(next) + 2, nil
	}
	return 0, errSOCKSAddress
}

func parseTarget(b []byte) (to socksTarget, rest []byte, err error) {
	if len(b) < 2 {
		return to, nil, errSOCKSShort
	}
	size, err := targetSize(b[0], b[1])
	if err != nil {
		return to, nil, err
	}
	if len(b) < size {
		return to, nil, errSOCKSShort
	}
	to.port = binary.BigEndian.Uint16(b[size-2:])
	switch b[0] {
	case addrIPv4, addrIPv6:
		a, _ := netip.AddrFromSlice(b[1 : size-2])
		to.addr = a.Unmap()
	case addrName:
		to.name = string(b[2 : size-2])
		// Some clients send a literal as a name.
		if a, err := netip.ParseAddr(to.name); err == nil && a.Zone() == "" {
			to.addr, to.name = a.Unmap(), ""
		} else if !plainName(to.name) {
			return to, nil, errSOCKSAddress
		}
	}
	return to, b[size:], nil
}

// plainName refuses what no host is called: such bytes have no business in a
// resolver, nor in a log.
func plainName(name string) bool {
	for i := range len(name) {
		switch c := name[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '.', c == '_':
		default:
			return false
		}
	}
	return name != ""
}

// parseDatagram reads section 7's header.
func parseDatagram(b []byte) (to socksTarget, payload []byte, err error) {
	if len(b) < udpHeaderSize {
		return to, nil, errSOCKSShort
	}
	if b[2] != 0 {
		return to, nil, errSOCKSPart
	}
	return parseTarget(b[udpHeaderSize:])
}

// appendAddress appends type, address and port; an invalid addr is 0.0.0.0:0.
func appendAddress(b []byte, ap netip.AddrPort) []byte {
	a := ap.Addr().Unmap()
	switch {
	case !a.IsValid():
		return append(b, addrIPv4, 0, 0, 0, 0, 0, 0)
	case a.Is4():
		b = append(b, addrIPv4)
	default:
		b = append(b, addrIPv6)
	}
	b = append(b, a.AsSlice()...)
	return binary.BigEndian.AppendUint16(b, ap.Port())
}
