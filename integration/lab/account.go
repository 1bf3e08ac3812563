//go:build linux

package lab

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// Account is a user of a host who is not root.
type Account struct {
	host *Host
	uid  int
}

// As is the host for a user.
func (h *Host) As(uid int) *Account { return &Account{host: h, uid: uid} }

// Start runs a program on the host under the account. It may read what only root may,
// since a lab's directories are root's; what the kernel says of it is the account's.
func (a *Account) Start(cmd *exec.Cmd) error {
	id := uint32(a.uid)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL,
		Credential: &syscall.Credential{Uid: id, Gid: id}, AmbientCaps: []uintptr{unix.CAP_DAC_OVERRIDE, unix.CAP_DAC_READ_SEARCH}}
	return a.host.Do(cmd.Start)
}

// Dial connects from the host with a socket of the account's, from an address of the
// host, or from what the kernel chooses if it is the zero one.
func (a *Account) Dial(ctx context.Context, network string, from netip.Addr, to netip.AddrPort) (conn net.Conn, err error) {
	var d net.Dialer
	switch at := netip.AddrPortFrom(from, 0); {
	case !from.IsValid():
	case network == "udp":
		d.LocalAddr = net.UDPAddrFromAddrPort(at)
	default:
		d.LocalAddr = net.TCPAddrFromAddrPort(at)
	}
	err = a.host.Do(func() error {
		// A socket belongs to the file system's user of the thread that opens it.
		unix.SetfsuidRetUid(a.uid)
		defer unix.SetfsuidRetUid(0)
		if is, _ := unix.SetfsuidRetUid(-1); is != a.uid {
			return fmt.Errorf("lab: the thread is of user %d, not of %d", is, a.uid)
		}
		dialled, err := d.DialContext(ctx, network, to.String())
		if err == nil {
			conn = dialled
		}
		return err
	})
	return conn, err
}
