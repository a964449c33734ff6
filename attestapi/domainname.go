package attestapi

import (
	"fmt"
	"strings"
)

// The bounds of an API domain's name, in bytes (RFC 1035 §2.3.4; of the name without the dots at its ends).
const (
	maxDomainName = 253
	maxLabel      = 63
)

// ParseDomainName is the name of an API domain in lower case: letters, digits, dashes and periods (manual, "Managing
// API Domains"), as labels that RFC 1123 §2.1 allows. There is no path and no port.
func ParseDomainName(text string) (string, error) {
	name := strings.ToLower(text)
	good := len(name) <= maxDomainName && len(name) == len(text) // there are letters that become shorter, and ASCII
	for label := range strings.SplitSeq(name, ".") {
		good = good && isLabel(label)
	}
	if !good {
		return "", fmt.Errorf("%.80q is not an API domain: letters, digits, dashes and periods only, without a path or port, such as api.example.com", text)
	}
	return name, nil
}

// isLabel reports whether text, in lower case, may stand between the periods of a domain.
func isLabel(text string) bool {
	odd := func(r rune) bool { return r != '-' && (r < '0' || r > '9') && (r < 'a' || r > 'z') }
	return text != "" && len(text) <= maxLabel && text[0] != '-' && text[len(text)-1] != '-' && !strings.ContainsFunc(text, odd)
}
