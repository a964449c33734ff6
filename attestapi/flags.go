package attestapi

// The flags: what the SDK or the service noticed about an attestation. All but the last three may stand in a
// token's anno claim (manual, "Annotation Policies", "Flag Metrics").
const (
	FlagDebug              = "debug"
	FlagScanFail           = "scan-fail"
	FlagTampered           = "tampered"
	FlagBadNonce           = "bad-nonce"
	FlagBadHMAC            = "bad-hmac"
	FlagDevicesExceeded    = "devices-exceeded"
	FlagDeviceChanged      = "device-changed"
	FlagAppNotRegistered   = "app-not-registered"
	FlagRooted             = "rooted"
	FlagJailbroken         = "jailbroken"
	FlagRootRisk           = "root-risk"
	FlagEmulator           = "emulator"
	FlagIOSSimulator       = "ios-simulator"
	FlagXposed             = "xposed"
	FlagXposedUnsafe       = "xposed-unsafe"
	FlagCydia              = "cydia"
	FlagFrida              = "frida"
	FlagCycript            = "cycript"
	FlagMagiskManHidden    = "magisk-man-hidden"
	FlagInitConfigOutdated = "init-config-outdated"
	FlagDeviceCheckBan     = "devicecheck-ban"

	FlagFridaHook           = "frida-hook"            // metrics only
	FlagDeviceCheckAppleErr = "devicecheck-apple-err" // metrics only
	FlagNewDID              = "new-did"               // metrics only
)

// ReportedFlags are the flags that an SDK may report. The others are the service's own findings.
func ReportedFlags() []string {
	return []string{FlagDebug, FlagScanFail, FlagRooted, FlagJailbroken, FlagRootRisk, FlagEmulator, FlagIOSSimulator, FlagXposed,
		FlagXposedUnsafe, FlagCydia, FlagFrida, FlagCycript, FlagMagiskManHidden, FlagFridaHook}
}
