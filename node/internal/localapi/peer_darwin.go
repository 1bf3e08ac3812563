package localapi

import (
	"net"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// callerOn asks the kernel who is at the other end (LOCAL_PEERCRED, unix(4)).
func callerOn(c net.Conn) Caller {
	conn, ok := c.(*net.UnixConn)
	if !ok {
		return Caller{}
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return Caller{}
	}
	var cred *unix.Xucred
	var credErr error
	err = raw.Control(func(fd uintptr) {
		cred, credErr = unix.GetsockoptXucred(int(fd), unix.SOL_LOCAL, unix.LOCAL_PEERCRED)
	})
	if err != nil || credErr != nil {
		return Caller{}
	}
	out := Caller{Role: RoleUse, Account: strconv.FormatUint(uint64(cred.Uid), 10)}
	if cred.Uid == 0 || int(cred.Uid) == os.Geteuid() {
		out.Role = RoleControl
	}
	return out
}
