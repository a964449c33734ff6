//go:build !linux

package pgtest

import (
	"os"
	"syscall"
)

func attributes() *syscall.SysProcAttr { return nil }

func giveAway(string) error { return nil }

// killAll kills a server; the processes that it has started end when they notice.
func killAll(pid int) {
	if process, err := os.FindProcess(pid); err == nil {
		_ = process.Kill()
	}
}

func pause(int)  {}
func resume(int) {}
