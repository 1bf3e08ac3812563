package netstack

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"net"
	"net/netip"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/transport/icmp"
	"gvisor.dev/gvisor/pkg/waiter"
)

const (
	echoHeader  = 8
	echoPayload = 24
)

// Ping sends one ICMP echo request to dst and returns how long its answer took.
// It waits as long as the context lets it; a refusal ends it at once, with the
// errors that DialContext gives. The stack answers pings to itself unasked.
func (s *Stack) Ping(ctx context.Context, dst netip.Addr) (time.Duration, error) {
	dst = dst.Unmap()
	to := netip.AddrPortFrom(dst, 0)
	if !dst.IsValid() {
		return 0, &net.AddrError{Err: "ping needs an address", Addr: dst.String()}
	}
	proto, icmpProto, request, reply := icmp.ProtocolNumber4, uint8(protoICMP), byte(8), byte(0)
	if dst.Is6() {
		proto, icmpProto, request, reply = icmp.ProtocolNumber6, protoICMPv6, 128, 129
	}
	ep, wq, src, err := s.bound(proto, to)
	if err != nil {
		return 0, opError("ping", "ip", netip.AddrPort{}, to, err)
	}
	defer ep.Close()
	refused, forget := s.refusals.watch(flow{icmpProto, src, to})
	defer forget()
	rtt, err := s.echo(ctx, ep, wq, dst, request, reply, refused)
	if err != nil {
		return 0, opError("ping", "ip", src, to, err)
	}
	return rtt, nil
}

func (s *Stack) echo(ctx context.Context, ep tcpip.Endpoint, wq *waiter.Queue, dst netip.Addr, request, reply byte, refused <-chan refusal) (time.Duration, error) {
	entry, ready := waiter.NewChannelEntry(waiter.ReadableEvents)
	wq.EventRegister(&entry)
	defer wq.EventUnregister(&entry)
	if terr := ep.Connect(fullAddress(netip.AddrPortFrom(dst, 0))); terr != nil {
		return 0, sysError(terr)
	}
	var message [echoHeader + echoPayload]byte
	message[0] = request
	binary.BigEndian.PutUint16(message[6:], 1)
	rand.Read(message[echoHeader:])
	start := time.Now()
	if _, terr := ep.Write(bytes.NewReader(message[:]), tcpip.WriteOptions{}); terr != nil {
		return 0, sysError(terr)
	}
	for {
		select {
		case <-ready:
		case why := <-refused:
			return 0, why
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-s.closed:
			return 0, net.ErrClosed
		}
		var answer [len(message)]byte
		b := tcpip.SliceWriter(answer[:])
		for {
			if _, terr := ep.Read(&b, tcpip.ReadOptions{}); terr != nil {
				break
			}
			if answer[0] == reply && bytes.Equal(answer[echoHeader:], message[echoHeader:]) {
				return time.Since(start), nil
			}
			b = answer[:]
		}
	}
}
