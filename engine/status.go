package engine

import "strings"

// statusWords are what the SDK and the app's networking layer report when there is no token
// (manual, "Fetching Approov Tokens"), without underscores.
const statusWords = " SUCCESS NOAPPROOVSERVICE NONETWORK POORNETWORK MITMDETECTED UNTRUSTEDNETWORK BADURL UNKNOWNURL " +
	"UNPROTECTEDURL NONETWORKPERMISSION MISSINGLIBDEPENDENCY INTERNALERROR NOTINITIALIZED REJECTED DISABLED UNKNOWNKEY BADKEY BADPAYLOAD "

const maxStatus = 48 // characters of the longest status in its JSON form, with room

// isStatus reports whether a token header holds a fetch status in place of a token: the bare word, in
// any of the spellings in use, or the loggable token that stands for it.
func isStatus(value string) bool {
	if len(value) > maxStatus {
		return false
	}
	const open, end = `{"error":"`, `"}`
	if strings.HasPrefix(value, open) && strings.HasSuffix(value, end) && len(value) > len(open)+len(end) {
		value = value[len(open) : len(value)-len(end)]
	}
	if value == "" || strings.IndexByte(value, ' ') >= 0 {
		return false
	}
	word := strings.ToUpper(strings.Replace(value, "_", "", -1))
	return word != "" && strings.Contains(statusWords, " "+word+" ")
}
