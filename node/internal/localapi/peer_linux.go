package localapi

import "golang.org/x/sys/unix"

// accountAt is SO_PEERCRED of unix(7).
func accountAt(socket int) (uid uint32, err error) {
	cred, err := unix.GetsockoptUcred(socket, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return 0, err
	}
	return cred.Uid, nil
}
