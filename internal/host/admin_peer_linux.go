package host

import (
	"net"
	"syscall"
)

// peerUID is the user of the process that has connected (unix(7), SO_PEERCRED), if the system knows it.
func peerUID(conn *net.UnixConn) (uid int, known bool) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, false
	}
	var credentials *syscall.Ucred
	failed := raw.Control(func(fd uintptr) {
		credentials, err = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	})
	if failed != nil || err != nil {
		return 0, false
	}
	return int(credentials.Uid), true
}
