package localapi

import (
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// roleOf asks the kernel who is at the other end (SO_PEERCRED, unix(7)).
func roleOf(c net.Conn) Role {
	conn, ok := c.(*net.UnixConn)
	if !ok {
		return RoleNone
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return RoleNone
	}
	var cred *unix.Ucred
	var credErr error
	err = raw.Control(func(fd uintptr) {
		cred, credErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	})
	if err != nil || credErr != nil {
		return RoleNone
	}
	return roleOfUID(cred.Uid)
}

func roleOfUID(uid uint32) Role {
	if uid == 0 || int(uid) == os.Geteuid() {
		return RoleControl
	}
	return RoleUse
}
