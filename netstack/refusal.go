package netstack

import (
	"encoding/binary"
	"net/netip"
	"sync"
	"syscall"
)

// The stack beneath knows some ICMP errors, takes "prohibited" for "no route to
// host" and ignores it altogether in IPv6. A refusal that ends in a timeout is a
// call to the help desk; so every ICMP error is read here first, and told to the
// dial, exchange or ping of which it speaks.

const (
	protoICMP   = 1
	protoTCP    = 6
	protoUDP    = 17
	protoICMPv6 = 58
)

// flow names an exchange as this stack sees it. For a ping, local's port is the
// echo identifier and remote's is zero.
type flow struct {
	proto         uint8
	local, remote netip.AddrPort
}

// refusal is the errno or sentinel that an ICMP error means.
type refusal error

// refusals holds the flows that wait for an answer. Only they can be refused:
// RFC 5927 (section 5.2) has an established TCP connection outlive such errors,
// and the peer's own reset ends it when the policy does.
type refusals struct {
	mu    sync.Mutex
	flows map[flow]chan refusal
}

// watch returns where f's refusals arrive; a further one is lost while nobody
// took the one before. forget ends the watch.
func (r *refusals) watch(f flow) (refused <-chan refusal, forget func()) {
	ch := make(chan refusal, 1)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.flows[f] = ch
	return ch, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.flows[f] == ch {
			delete(r.flows, f)
		}
	}
}

// note says whether packet is a refusal, and tells the flow of which it speaks, if
// that is watched. Such a packet goes no further: it has no other reader.
func (r *refusals) note(packet []byte) bool {
	f, why := parseRefusal(packet)
	if why == nil {
		return false
	}
	r.mu.Lock()
	ch := r.flows[f]
	r.mu.Unlock()
	select {
	case ch <- why:
	default: // not watched, or told already
	}
	return true
}

// parseRefusal reads an ICMP "destination unreachable" (RFC 792, RFC 4443): the
// flow whose packet was refused, and why. For anything else why is nil.
func parseRefusal(p []byte) (f flow, why refusal) {
	if len(p) < 20 {
		return flow{}, nil
	}
	known := false
	switch p[0] >> 4 {
	case 4:
		at := int(p[0]&15) * 4
		if at < 20 || len(p) < at+8+20 || p[9] != protoICMP || p[at] != 3 || !whole4(p) {
			return flow{}, nil
		}
		f, known = innerFlow4(p[at+8:])
		why = reason4(p[at+1])
	case 6:
		if len(p) < 40+8+40 || p[6] != protoICMPv6 || p[40] != 1 {
			return flow{}, nil
		}
		f, known = innerFlow6(p[48:])
		why = reason6(p[41])
	}
	if !known {
		return flow{}, nil
	}
	return f, why
}

func reason4(code byte) refusal {
	switch code {
	case 9, 10, 13: // RFC 1812, 5.2.7.1
		return ErrProhibited
	case 0, 6, 11:
		return syscall.ENETUNREACH
	case 1, 5, 7, 8, 12, 14, 15:
		return syscall.EHOSTUNREACH
	case 2, 3:
		return syscall.ECONNREFUSED
	}
	return nil // 4 is about size, not a refusal
}

func reason6(code byte) refusal {
	switch code {
	case 1, 5, 6: // RFC 4443, 3.1: prohibited, failed ingress or egress policy, reject route
		return ErrProhibited
	case 0, 2:
		return syscall.ENETUNREACH
	case 3:
		return syscall.EHOSTUNREACH
	case 4:
		return syscall.ECONNREFUSED
	}
	return nil
}

// whole4 says that p is not a fragment.
func whole4(p []byte) bool { return binary.BigEndian.Uint16(p[6:])&0x3fff == 0 }

func innerFlow4(p []byte) (flow, bool) {
	at := int(p[0]&15) * 4
	if p[0]>>4 != 4 || at < 20 || len(p) < at+8 || binary.BigEndian.Uint16(p[6:])&0x1fff != 0 {
		return flow{}, false
	}
	return innerPorts(p[9], netip.AddrFrom4([4]byte(p[12:16])), netip.AddrFrom4([4]byte(p[16:20])), p[at:])
}

func innerFlow6(p []byte) (flow, bool) {
	if p[0]>>4 != 6 || len(p) < 40+8 {
		return flow{}, false
	}
	return innerPorts(p[6], netip.AddrFrom16([16]byte(p[8:24])), netip.AddrFrom16([16]byte(p[24:40])), p[40:])
}

func innerPorts(proto byte, src, dst netip.Addr, p []byte) (flow, bool) {
	f := flow{proto: proto}
	switch {
	case proto == protoTCP, proto == protoUDP:
		f.local = netip.AddrPortFrom(src, binary.BigEndian.Uint16(p))
		f.remote = netip.AddrPortFrom(dst, binary.BigEndian.Uint16(p[2:]))
	case proto == protoICMP && p[0] == 8, proto == protoICMPv6 && p[0] == 128:
		f.local = netip.AddrPortFrom(src, binary.BigEndian.Uint16(p[4:]))
		f.remote = netip.AddrPortFrom(dst, 0)
	default:
		return f, false
	}
	return f, true
}
