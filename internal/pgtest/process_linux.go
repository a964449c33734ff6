package pgtest

import (
	"fmt"
	"os"
	osuser "os/user"
	"strconv"
	"strings"
	"syscall"
)

// attributes make a process end when this one does, however that ends, and run as credential says.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGQUIT, Setpgid: true, Credential: credential()}
}

// credential is the user to run PostgreSQL as, which refuses to be run by root: postgres, or nobody. nil: this one.
func credential() *syscall.Credential {
	if os.Geteuid() != 0 {
		return nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		found, err := osuser.Lookup(name)
		if err != nil {
			continue
		}
		uid, uidErr := strconv.ParseUint(found.Uid, 10, 32)
		gid, gidErr := strconv.ParseUint(found.Gid, 10, 32)
		if uidErr == nil && gidErr == nil && uid != 0 {
			return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		}
	}
	return nil // PostgreSQL will say what is wrong
}

// giveAway makes the folder that of the user PostgreSQL runs as.
func giveAway(folder string) error {
	if c := credential(); c != nil {
		return os.Chown(folder, int(c.Uid), int(c.Gid))
	}
	return nil
}

// killAll kills a server that this process has started, and the processes that it has started; they have sessions
// of their own.
func killAll(pid int) {
	pause(pid) // so that it starts no more of them
	signalAll(pid, syscall.SIGKILL)
}

func pause(pid int)  { signalAll(pid, syscall.SIGSTOP) }
func resume(pid int) { signalAll(pid, syscall.SIGCONT) }

func signalAll(pid int, signal syscall.Signal) {
	if signal == syscall.SIGSTOP {
		_ = syscall.Kill(pid, signal) // before its children are listed
	}
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	for _, child := range strings.Fields(string(text)) {
		if id, err := strconv.Atoi(child); err == nil && id > 1 {
			_ = syscall.Kill(id, signal)
		}
	}
	_ = syscall.Kill(pid, signal)
}
