package issue

import (
	"slices"

	"github.com/approovgate/approovgate/attestapi"
	"github.com/approovgate/approovgate/attestserver/account"
)

// The rejection policies under which a flag is put up with: each set holds the ones before it (manual, "Rejection
// Policies"). Blacklist puts up with nothing, not even with no flags.
var (
	never      []account.Rejection
	whitelist  = []account.Rejection{account.RejectWhitelist}
	jailbreak  = append([]account.Rejection{account.RejectAllowRootAndJailbreak}, whitelist...)
	root       = append([]account.Rejection{account.RejectAllowRoot}, jailbreak...)
	xposed     = append([]account.Rejection{account.RejectAllowXposed}, root...)
	everywhere = append([]account.Rejection{account.RejectDefault}, xposed...)
)

// matrix is the whole of the rejection matrix, in the order of the manual's "Annotation Results". What is in doubt
// there was settled so: root-risk and magisk-man-hidden count as rooted; xposed passes wherever root does;
// xposed-unsafe, device-changed and devices-exceeded pass under whitelist only; a DeviceCheck ban is stronger than
// whitelist; emulators and simulators pass where jailbroken devices do.
var matrix = []struct {
	flag     string
	accepted []account.Rejection
	anno     bool // it may stand in a token
}{
	{attestapi.FlagDebug, whitelist, true},
	{attestapi.FlagScanFail, never, true},
	{attestapi.FlagTampered, never, true},
	{attestapi.FlagBadNonce, never, true},
	{attestapi.FlagBadHMAC, never, true},
	{attestapi.FlagDevicesExceeded, whitelist, true},
	{attestapi.FlagDeviceChanged, whitelist, true},
	{attestapi.FlagAppNotRegistered, whitelist, true},
	{attestapi.FlagRooted, root, true},
	{attestapi.FlagJailbroken, jailbreak, true},
	{attestapi.FlagRootRisk, root, true},
	{attestapi.FlagEmulator, jailbreak, true},
	{attestapi.FlagIOSSimulator, jailbreak, true},
	{attestapi.FlagXposed, xposed, true},
	{attestapi.FlagXposedUnsafe, whitelist, true},
	{attestapi.FlagCydia, whitelist, true},
	{attestapi.FlagFrida, whitelist, true},
	{attestapi.FlagCycript, whitelist, true},
	{attestapi.FlagMagiskManHidden, root, true},
	{attestapi.FlagInitConfigOutdated, everywhere, true},
	{attestapi.FlagDeviceCheckBan, never, true},
	// Metrics only. frida-hook is frida that is at work, so it is judged like frida.
	{attestapi.FlagFridaHook, whitelist, false},
	{attestapi.FlagDeviceCheckAppleErr, everywhere, false},
	{attestapi.FlagNewDID, everywhere, false},
}

// Flags are all flags there are: the manual's 24 of "Flag Metrics".
func Flags() []string {
	all := make([]string, len(matrix))
	for i, row := range matrix {
		all[i] = row.flag
	}
	return all
}

// risky reports whether a flag makes a device one whose tokens live shorter (manual, "Token Lifespan": rooted or
// jailbroken). What only suggests as much counts too: a shorter life costs an honest device nothing but requests.
func risky(flag string) bool {
	switch flag {
	case attestapi.FlagRooted, attestapi.FlagRootRisk, attestapi.FlagMagiskManHidden, attestapi.FlagJailbroken, attestapi.FlagCydia,
		attestapi.FlagXposed, attestapi.FlagXposedUnsafe, attestapi.FlagFrida, attestapi.FlagFridaHook, attestapi.FlagCycript:
		return true
	}
	return false
}

// Judge is the verdict on an attestation with the given flags, and the annotations that its token carries: nil for
// none (manual, "Security Policies"). A policy or flag that it does not know fails.
func Judge(policy account.Policy, flags []string) (pass bool, anno []string) {
	rejection := policy.Rejection
	if rejection == "" {
		rejection = account.RejectDefault
	}
	pass = slices.Contains(everywhere, rejection)
	known := 0
	for _, row := range matrix {
		if !slices.Contains(flags, row.flag) {
			continue
		}
		known++
		pass = pass && slices.Contains(row.accepted, rejection)
		if row.anno && (policy.Annotation == account.AnnotateAll || policy.Annotation == account.AnnotateXposed && row.flag == attestapi.FlagXposed) {
			anno = append(anno, row.flag)
		}
	}
	return pass && known == distinct(flags), anno
}

func distinct(flags []string) int {
	n := 0
	for i, flag := range flags {
		if !slices.Contains(flags[:i], flag) {
			n++
		}
	}
	return n
}
