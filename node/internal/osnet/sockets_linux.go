package osnet

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"sync"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Sockets asks the kernel about TCP sockets of this machine. A question takes some
// microseconds and no memory.
type Sockets struct {
	mu     sync.Mutex // guards what follows
	fd     int        // -1: closed
	asked  uint32     // questions so far, by which an answer is known
	ask    [diagRequest]byte
	answer [1024]byte
}

// Sizes and places in what the kernel is asked, a struct inet_diag_req_v2, and in what
// it answers, a struct inet_diag_msg: see sock_diag(7).
const (
	sockDiagByFamily = 20
	diagRequest      = unix.SizeofNlMsghdr + 56
	diagPorts        = unix.SizeofNlMsghdr + 8
	diagAddresses    = diagPorts + 4
	diagCookie       = diagAddresses + 36
	diagState        = unix.SizeofNlMsghdr + 1

	tcpListen = 10 // TCP_LISTEN of linux/tcp_states.h
)

// OpenSockets fails where the kernel tells nothing of its sockets. They are those of the
// calling thread's network namespace.
func OpenSockets() (*Sockets, error) {
	// Of one socket a kernel that tells of none says, as of one that is not there: no such file.
	if _, err := netlink.SocketDiagTCP(unix.AF_INET); err != nil {
		return nil, fmt.Errorf("osnet: ask the kernel which TCP connections there are (is the module tcp_diag there?): %w", err)
	}
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return nil, fmt.Errorf("osnet: talk to the kernel of its sockets: %w", err)
	}
	if err := unix.Connect(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return nil, errors.Join(fmt.Errorf("osnet: talk to the kernel of its sockets: %w", err), unix.Close(fd))
	}
	return &Sockets{fd: fd}, nil
}

// Find looks for the socket that gets what a peer sends to an address of this machine,
// and tells whether it is one of a connection between the two, or one that listens.
func (s *Sockets) Find(own, peer netip.AddrPort) (connected, listens bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.write(own, peer)
	if _, err := unix.Write(s.fd, s.ask[:]); err != nil {
		return false, false, err
	}
	for {
		n, err := unix.Read(s.fd, s.answer[:]) // the answer is there when the question is written
		if err != nil {
			return false, false, err
		}
		if n > diagState && binary.NativeEndian.Uint32(s.answer[8:]) == s.asked {
			return s.read()
		}
	}
}

func (s *Sockets) write(own, peer netip.AddrPort) {
	s.asked++
	q := s.ask[:]
	clear(q)
	binary.NativeEndian.PutUint32(q, diagRequest)
	binary.NativeEndian.PutUint16(q[4:], sockDiagByFamily)
	binary.NativeEndian.PutUint16(q[6:], unix.NLM_F_REQUEST)
	binary.NativeEndian.PutUint32(q[8:], s.asked)
	q[unix.SizeofNlMsghdr], q[unix.SizeofNlMsghdr+1] = unix.AF_INET, unix.IPPROTO_TCP
	binary.BigEndian.PutUint16(q[diagPorts:], own.Port())
	binary.BigEndian.PutUint16(q[diagPorts+2:], peer.Port())
	if own.Addr().Is4() {
		a, b := own.Addr().As4(), peer.Addr().As4()
		copy(q[diagAddresses:], a[:])
		copy(q[diagAddresses+16:], b[:])
	} else {
		q[unix.SizeofNlMsghdr] = unix.AF_INET6
		a, b := own.Addr().As16(), peer.Addr().As16()
		copy(q[diagAddresses:], a[:])
		copy(q[diagAddresses+16:], b[:])
	}
	for i := range 8 { // INET_DIAG_NOCOOKIE: whichever socket it is
		q[diagCookie+i] = 0xff
	}
}

func (s *Sockets) read() (connected, listens bool, err error) {
	if binary.NativeEndian.Uint16(s.answer[4:]) == unix.NLMSG_ERROR {
		errno := unix.Errno(-int32(binary.NativeEndian.Uint32(s.answer[unix.SizeofNlMsghdr:])))
		if errno == unix.ENOENT {
			return false, false, nil
		}
		return false, false, errno
	}
	listens = s.answer[diagState] == tcpListen
	return !listens, listens, nil
}

// Close ends the questions.
func (s *Sockets) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	fd := s.fd
	s.fd = -1
	return unix.Close(fd)
}
