package localapi

import (
	"net"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// callerOn asks the kernel who is at the other end (SO_PEERCRED, unix(7)).
func callerOn(c net.Conn) Caller {
	conn, ok := c.(*net.UnixConn)
	if !ok {
		return Caller{}
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return Caller{}
	}
	var cred *unix.Ucred
	var credErr error
	err = raw.Control(func(fd uintptr) {
		cred, credErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	})
	if err != nil || credErr != nil {
		return Caller{}
	}
	return Caller{Role: roleOfUID(cred.Uid), Account: strconv.FormatUint(uint64(cred.Uid), 10)}
}

func roleOfUID(uid uint32) Role {
	if uid == 0 || int(uid) == os.Geteuid() {
		return RoleControl
	}
	return RoleUse
}
