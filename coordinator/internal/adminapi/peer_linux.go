package adminapi

import (
	"net"
	"os"
	"os/user"
	"strconv"

	"golang.org/x/sys/unix"
)

// peerOf asks the kernel who is at the other end (SO_PEERCRED, unix(7)), and
// names those who may operate: root and the coordinator's own user.
func peerOf(c net.Conn) (name string, ok bool) {
	conn, isUnix := c.(*net.UnixConn)
	if !isUnix {
		return "", false
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return "", false
	}
	var cred *unix.Ucred
	err = raw.Control(func(fd uintptr) {
		cred, _ = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	})
	if err != nil || cred == nil || cred.Uid != 0 && int(cred.Uid) != os.Geteuid() {
		return "", false
	}
	uid := strconv.Itoa(int(cred.Uid))
	if u, err := user.LookupId(uid); err == nil {
		return u.Username, true
	}
	return "uid " + uid, true
}
