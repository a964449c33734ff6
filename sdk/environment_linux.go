package sdk

import (
	"io"
	"os"
	"strings"

	"github.com/approovgate/approovgate/attestapi"
)

// maxProc is how much of a file of /proc is read, in bytes.
const maxProc = 1 << 20

// look makes one check. What cannot be read is not seen.
func look(check string, rules *attestapi.Rules) []string {
	switch check {
	case attestapi.CheckTracer:
		if traced(read("/proc/self/status")) {
			return []string{attestapi.FlagDebug}
		}
	case attestapi.CheckPreload:
		if preloaded(read("/proc/self/environ")) || strings.TrimSpace(read("/etc/ld.so.preload")) != "" {
			return []string{attestapi.FlagScanFail}
		}
	case attestapi.CheckLoaded:
		if len(rules.Names) > 0 {
			return loaded(read("/proc/self/maps"), rules.Names)
		}
	case attestapi.CheckRoot:
		return root()
	}
	return nil
}

// root looks for what rooting leaves on Android, where no app should find it, nor run as root. Elsewhere both are
// nothing unusual: in a container most programs run as root.
func root() (flags []string) {
	if !android() {
		return nil
	}
	for _, path := range []string{"/system/bin/su", "/system/xbin/su", "/sbin/su", "/sbin/magisk", "/data/adb/magisk", "/system/app/Superuser.apk"} {
		if _, err := os.Lstat(path); err == nil {
			flags = append(flags, attestapi.FlagRooted)
		}
	}
	if os.Geteuid() == 0 {
		flags = append(flags, attestapi.FlagRootRisk)
	}
	return flags
}

func android() bool {
	_, err := os.Stat("/system/build.prop")
	return err == nil
}

func read(path string) string {
	file, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer func() { _ = file.Close() }() // only read
	text, _ := io.ReadAll(io.LimitReader(file, maxProc))
	return string(text)
}
