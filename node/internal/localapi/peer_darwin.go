package localapi

import "golang.org/x/sys/unix"

// accountAt is LOCAL_PEERCRED of unix(4).
func accountAt(socket int) (uid uint32, err error) {
	cred, err := unix.GetsockoptXucred(socket, unix.SOL_LOCAL, unix.LOCAL_PEERCRED)
	if err != nil {
		return 0, err
	}
	return cred.Uid, nil
}
