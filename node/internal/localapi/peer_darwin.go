package localapi

import (
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// roleOf asks the kernel who is at the other end (LOCAL_PEERCRED, unix(4)).
func roleOf(c net.Conn) Role {
	conn, ok := c.(*net.UnixConn)
	if !ok {
		return RoleNone
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return RoleNone
	}
	var cred *unix.Xucred
	var credErr error
	err = raw.Control(func(fd uintptr) {
		cred, credErr = unix.GetsockoptXucred(int(fd), unix.SOL_LOCAL, unix.LOCAL_PEERCRED)
	})
	if err != nil || credErr != nil {
		return RoleNone
	}
	if cred.Uid == 0 || int(cred.Uid) == os.Geteuid() {
		return RoleControl
	}
	return RoleUse
}
