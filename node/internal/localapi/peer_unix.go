//go:build linux || darwin

package localapi

import (
	"net"
	"os"
	"strconv"
)

// callerOn asks the kernel who is at the other end. Of whom it says nothing, is nobody.
func callerOn(c net.Conn) Caller {
	conn, ok := c.(*net.UnixConn)
	if !ok {
		return Caller{}
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return Caller{}
	}
	var uid uint32
	var asked error
	err = raw.Control(func(fd uintptr) { uid, asked = accountAt(int(fd)) })
	if err != nil || asked != nil {
		return Caller{}
	}
	return Caller{Role: roleOf(uid), Account: strconv.FormatUint(uint64(uid), 10)}
}

func roleOf(uid uint32) Role {
	if uid == 0 || int(uid) == os.Geteuid() {
		return RoleControl
	}
	return RoleUse
}
