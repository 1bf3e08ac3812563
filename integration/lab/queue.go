//go:build linux

package lab

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/xt"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// The kernel's nfnetlink_queue.h.
const (
	queueSubsystem = unix.NFNL_SUBSYS_QUEUE << 8
	messagePacket  = queueSubsystem
	messageVerdict = queueSubsystem | 1
	messageConfig  = queueSubsystem | 2

	attrPacketHeader  = 1
	attrVerdictHeader = 2
	attrPayload       = 10
	attrConfigCommand = 1
	attrConfigParams  = 2
	attrConfigLength  = 3

	commandBind = 1
	copyPacket  = 2

	verdictDrop   = 0
	verdictAccept = 1

	// queueLength is how many packets may wait; the kernel drops more.
	queueLength = 10_000
	// headerBytes is how much of a packet is copied: its length and the kind of an
	// ICMPv6 message are in there.
	headerBytes = 48
)

// packetQueue is a kernel queue that holds what comes in by a link until it is
// judged, whole packets, cut as they were on the wire.
type packetQueue struct {
	number uint16
	conn   *netlink.Conn
	closed atomic.Bool
}

type queuedPacket struct {
	id         uint32
	length     int  // of the IP packet, bytes
	neighbours bool // talk of neighbours, which to IPv6 is what ARP is to IPv4
}

// openQueue binds a queue first, and then has the link's packets go there: what
// goes to a queue that nobody has is lost.
func openQueue(h *Host, link string) (*packetQueue, error) {
	var index int
	if _, err := fmt.Sscanf(link, "eth%d", &index); err != nil {
		return nil, fmt.Errorf("the topology has no link called %q", link)
	}
	conn, err := netlink.Dial(unix.NETLINK_NETFILTER, &netlink.Config{NetNS: int(h.ns.handle)})
	if err != nil {
		return nil, fmt.Errorf("speak with the kernel's packet queue: %w", err)
	}
	q := &packetQueue{number: uint16(index), conn: conn}
	if err := errors.Join(conn.SetReadBuffer(16<<20), q.bind(), q.attract(h, link)); err != nil {
		conn.Close()
		return nil, err
	}
	return q, nil
}

// close ends the queue and whoever waits in receive. The kernel drops what is in it.
func (q *packetQueue) close() {
	q.closed.Store(true)
	q.conn.Close()
}

// unlessClosed is the error, if it is not of our own making.
func (q *packetQueue) unlessClosed(err error) error {
	if q.closed.Load() {
		return nil
	}
	return err
}

func (q *packetQueue) bind() error {
	for _, a := range []netlink.Attribute{
		{Type: attrConfigCommand, Data: []byte{commandBind, 0, 0, 0}},
		{Type: attrConfigParams, Data: append(binary.BigEndian.AppendUint32(nil, headerBytes), copyPacket)},
		{Type: attrConfigLength, Data: binary.BigEndian.AppendUint32(nil, queueLength)},
	} {
		m, err := q.message(messageConfig, netlink.Acknowledge, a)
		if err != nil {
			return err
		}
		if _, err := q.conn.Execute(m); err != nil {
			return fmt.Errorf("set up packet queue %d: %w", q.number, err)
		}
	}
	return nil
}

// message is of nfnetlink: a header of family, version and queue, and attributes.
func (q *packetQueue) message(kind netlink.HeaderType, flags netlink.HeaderFlags, a ...netlink.Attribute) (netlink.Message, error) {
	attrs, err := netlink.MarshalAttributes(a)
	if err != nil {
		return netlink.Message{}, err
	}
	header := []byte{unix.AF_UNSPEC, 0, byte(q.number >> 8), byte(q.number)}
	return netlink.Message{Header: netlink.Header{Type: kind, Flags: netlink.Request | flags}, Data: append(header, attrs...)}, nil
}

// attract sends a link's packets of both families to the queue. The kernel may
// lack a queue statement of nftables; the older target does the same.
func (q *packetQueue) attract(h *Host, link string) error {
	tables, err := nftables.New(nftables.WithNetNSFd(int(h.ns.handle)))
	if err != nil {
		return err
	}
	for _, family := range []nftables.TableFamily{nftables.TableFamilyIPv4, nftables.TableFamilyIPv6} {
		table := tables.AddTable(&nftables.Table{Family: family, Name: "lab_link_" + link})
		chain := tables.AddChain(&nftables.Chain{Name: "in", Table: table, Type: nftables.ChainTypeFilter,
			Hooknum: nftables.ChainHookPrerouting, Priority: nftables.ChainPriorityRaw})
		name := make([]byte, unix.IFNAMSIZ)
		copy(name, link)
		info := xt.Unknown(binary.NativeEndian.AppendUint16(nil, q.number))
		info = append(info, make([]byte, 6)...) // to the alignment that the kernel wants
		tables.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: []expr.Any{
			&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: 1},
			&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: name},
			&expr.Target{Name: "NFQUEUE", Info: &info},
		}})
	}
	if err := tables.Flush(); err != nil {
		return fmt.Errorf("send the packets of %s to a queue: %w", link, err)
	}
	return nil
}

// receive waits for packets until the given time; zero is for ever. None is no
// error.
func (q *packetQueue) receive(until time.Time) ([]queuedPacket, error) {
	if err := q.conn.SetReadDeadline(until); err != nil {
		return nil, err
	}
	messages, err := q.conn.Receive()
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("receive from the packet queue: %w", err)
	}
	var packets []queuedPacket
	for _, m := range messages {
		if m.Header.Type != messagePacket || len(m.Data) < 4 {
			continue
		}
		p, err := parseQueued(m.Data[4:])
		if err != nil {
			return nil, err
		}
		packets = append(packets, p)
	}
	return packets, nil
}

func parseQueued(attrs []byte) (queuedPacket, error) {
	var p queuedPacket
	d, err := netlink.NewAttributeDecoder(attrs)
	if err != nil {
		return p, err
	}
	for d.Next() {
		switch b := d.Bytes(); {
		case d.Type() == attrPacketHeader && len(b) >= 4:
			p.id = binary.BigEndian.Uint32(b)
		case d.Type() == attrPayload:
			p.length, p.neighbours = ipLength(b), ofNeighbours(b)
		}
	}
	return p, d.Err()
}

// ipLength reads a packet's own word of its length.
func ipLength(header []byte) int {
	switch {
	case len(header) >= 20 && header[0]>>4 == 4:
		return int(binary.BigEndian.Uint16(header[2:]))
	case len(header) >= 40 && header[0]>>4 == 6:
		return 40 + int(binary.BigEndian.Uint16(header[4:]))
	}
	return len(header)
}

// ofNeighbours knows neighbour and multicast listener discovery (RFC 4861, 3810).
func ofNeighbours(header []byte) bool {
	if len(header) <= 40 || header[0]>>4 != 6 {
		return false
	}
	multicast, kind := header[24] == 0xff, header[40]
	return multicast || header[6] == unix.IPPROTO_ICMPV6 && kind >= 133 && kind <= 137
}

// judge lets a packet go on, or drops it.
func (q *packetQueue) judge(id uint32, pass bool) error {
	verdict := uint32(verdictDrop)
	if pass {
		verdict = verdictAccept
	}
	data := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, verdict), id)
	m, err := q.message(messageVerdict, 0, netlink.Attribute{Type: attrVerdictHeader, Data: data})
	if err == nil {
		_, err = q.conn.Send(m)
	}
	return err
}
