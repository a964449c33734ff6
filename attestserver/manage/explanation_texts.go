package manage

import "github.com/approovgate/approovgate/attestapi"

// flagTexts say of each flag what it means and what to do (manual, "Annotation Results"). Of those that are told with
// more detail it is what remains if that is not known.
var flagTexts = map[string]string{
	attestapi.FlagDebug:            "a debugger was attached, or the app was built to be debugged; for a device of your own: approov device -add DID -policy default,whitelist,all",
	attestapi.FlagScanFail:         "the SDK could not look at its surroundings, or code was put in front of it; no policy lets that pass: run the app without LD_PRELOAD and the like",
	attestapi.FlagTampered:         "the app's SDK configuration is not one that this account has signed; no policy lets that pass: build the app with what approov sdk -getConfig writes",
	attestapi.FlagBadNonce:         "the request did not carry a fresh nonce; no policy lets that pass",
	attestapi.FlagBadHMAC:          "the request was not made with the key of the app's SDK library; no policy lets that pass",
	attestapi.FlagDevicesExceeded:  "the account has more devices than it may have; ask whoever runs the service",
	attestapi.FlagDeviceChanged:    "the device says that it is one that looked different before; a restored or copied app does: have it installed anew",
	attestapi.FlagAppNotRegistered: "no registration fitted the app; register the file that is delivered: approov registration -add FILE",
	attestapi.FlagRooted:           "the device is rooted; policies from allow-root on let it pass",
	attestapi.FlagJailbroken:       "the device is jailbroken; the policy allow-root-and-jailbroken lets it pass",
	attestapi.FlagRootRisk:         "something on the device suggests that it is rooted; policies from allow-root on let it pass",
	attestapi.FlagEmulator:         "the app ran on an emulator; the policy allow-root-and-jailbroken lets it pass, for an emulator of your own: approov device -add DID -policy default,whitelist,all",
	attestapi.FlagIOSSimulator:     "the app ran on the iOS simulator; the policy allow-root-and-jailbroken lets it pass, for a simulator of your own: approov device -add DID -policy default,whitelist,all",
	attestapi.FlagXposed:           "the Xposed framework was found; policies from allow-xposed on let it pass",
	attestapi.FlagXposedUnsafe:     "the Xposed framework was found, with a module that changes this app; the policy whitelist alone lets it pass",
	attestapi.FlagCydia:            "Cydia Substrate was found, which changes apps while they run; the policy whitelist alone lets it pass",
	attestapi.FlagFrida:            "Frida was found, which changes apps while they run; the policy whitelist alone lets it pass",
	attestapi.FlagCycript:          "Cycript was found, which changes apps while they run; the policy whitelist alone lets it pass",
	attestapi.FlagMagiskManHidden:  "Magisk was found hiding itself: the device is rooted; policies from allow-root on let it pass",
	attestapi.FlagInitConfigOutdated: "for information only: the app's SDK configuration is older than the account's, and it was sent the new one; " +
		"build the next version with what approov sdk -getConfig writes",
	attestapi.FlagDeviceCheckBan:      "the device is banned through Apple's DeviceCheck; no policy lets it pass",
	attestapi.FlagFridaHook:           "Frida was found at work in the app; the policy whitelist alone lets it pass",
	attestapi.FlagDeviceCheckAppleErr: "for information only: Apple's DeviceCheck did not answer",
	attestapi.FlagNewDID:              "for information only: the device ID had not been seen before",
}

// nonceText says what was wrong with a nonce.
func nonceText(code string) string {
	switch code {
	case attestapi.NonceUsed:
		return "the nonce had been used before: the request was sent twice, by a network that repeats requests or by somebody who recorded it; " +
			"the SDK fetches a new one by itself, so the app's next attestation is not affected"
	case attestapi.NonceExpired:
		return "the nonce had expired, after a minute or six: the request was long on its way, the device slept in between, or the clocks of the service's machines differ; " +
			"the SDK fetches a new one by itself, so the app's next attestation is not affected"
	case attestapi.NonceForeign:
		return "the nonce was not one that this service has made for the account and device within a day: the request was made up, or changed on the way, " +
			"or the service's database was copied or restored in between"
	}
	return flagTexts[attestapi.FlagBadNonce]
}

// macText says what was wrong with a MAC, of the library that the app said it has.
func macText(code, library string) string {
	switch code {
	case attestapi.LibraryUnknown:
		return "the app's SDK library, " + quoted(library) + ", is not one of the account's: it was removed, is another account's or was made up; " +
			"build the app with one of the account's (approov sdk -listLibraries), and register it"
	case attestapi.LibraryKnown:
		return "the request was not made with the key of the SDK library " + quoted(library) + ", or was changed on the way: " +
			"is something between the app and the service that changes requests? is the library in the app another account's of the same ID?"
	}
	return flagTexts[attestapi.FlagBadHMAC]
}
