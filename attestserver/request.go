package attestserver

import (
	"encoding/base64"
	"strconv"
	"strings"

	"github.com/approovgate/approovgate/attestapi"
	"github.com/approovgate/approovgate/jose"
)

// The bounds of what a request may hold, in bytes and in elements.
const (
	maxName      = 128 // of names and versions
	maxText      = 512 // of nonces, measurements and the like, which are only compared
	maxFlags     = 64
	maxFlag      = 64
	maxEvidence  = 8
	maxCalls     = 64
	maxCallCount = 1 << 40
	paySize      = 44 // base64 of a SHA-256
)

// object walks a JSON object strictly: no member twice, nothing behind it, names in their exact spelling. Members that
// it is not asked about are passed over, for later versions of the protocol, but must be JSON all the same.
func object(text, where string, member func(name, value string) error) error {
	o := jose.OpenObject(text)
	for o.Next() {
		if err := member(o.Name, o.Value); err != nil {
			return err
		}
	}
	if !o.OK() {
		return malformed("%s is not one JSON object without repeated members", where)
	}
	return nil
}

// str reads a string of at most limit bytes.
func str(into *string, value, name string, limit int) error {
	text, ok := jose.Text(value)
	if !ok || len(text) > limit {
		return malformed("%s must be a string of at most %d bytes", name, limit)
	}
	*into = text
	return nil
}

// whole reads a whole number from 0.
func whole(into *int64, value, name string, limit int64) error {
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil || n < 0 || n > limit {
		return malformed("%s must be a whole number from 0 to %d", name, limit)
	}
	*into = n
	return nil
}

// elements are those of a JSON list.
func elements(value, name string, limit int) ([]string, error) {
	if value == "null" {
		return nil, nil
	}
	if value[0] != '[' {
		return nil, malformed("%s must be a list", name)
	}
	all, ok := jose.Elements(value)
	if !ok || len(all) > limit {
		return nil, malformed("%s must be a list of at most %d elements", name, limit)
	}
	return all, nil
}

// deviceID checks the spelling of a device ID.
func deviceID(into *string, value string) error {
	if err := str(into, value, "did", maxName); err != nil {
		return err
	}
	if _, err := attestapi.ParseDeviceID(*into); err != nil {
		return malformed("did: %v", err)
	}
	return nil
}

// decodeChallenge reads a request for a nonce.
func decodeChallenge(body []byte) (q attestapi.ChallengeRequest, err error) {
	err = object(string(body), "the body", func(name, value string) error {
		switch name {
		case "account":
			return str(&q.Account, value, name, maxName)
		case "lib":
			return str(&q.Library, value, name, maxName)
		case "did":
			return deviceID(&q.DeviceID, value)
		}
		return nil
	})
	if err == nil && (q.Account == "" || q.DeviceID == "") {
		err = malformed("account and did are required")
	}
	return q, err
}

// decodeConfig reads a request for a newer SDK configuration.
func decodeConfig(body []byte) (q attestapi.ConfigRequest, err error) {
	err = object(string(body), "the body", func(name, value string) error {
		switch name {
		case "account":
			return str(&q.Account, value, name, maxName)
		case "cfg_ver":
			return whole(&q.Version, value, name, 1<<53)
		case "cfg_key_fp":
			return str(&q.ConfigKey, value, name, maxName)
		case "did":
			if value == `""` {
				return nil
			}
			return deviceID(&q.DeviceID, value)
		}
		return nil
	})
	if err == nil && q.Account == "" {
		err = malformed("account is required")
	}
	return q, err
}

// decodeAttest reads an attestation. What it says is not judged here, but for what has no meaning at all.
func decodeAttest(body []byte) (q attestapi.AttestRequest, err error) {
	var version int64
	err = object(string(body), "the body", func(name, value string) error {
		switch name {
		case "v":
			return whole(&version, value, name, 1<<31-1)
		case "account":
			return str(&q.Account, value, name, maxName)
		case "nonce":
			return str(&q.Nonce, value, name, maxText)
		case "cfg_key_fp":
			return str(&q.ConfigKey, value, name, maxText)
		case "cfg_ver":
			return whole(&q.ConfigVersion, value, name, 1<<53)
		case "rules_ver":
			return whole(&q.RulesVersion, value, name, 1<<53)
		case "lib":
			return decodeLibrary(&q.Library, value)
		case "app":
			return decodeApp(&q.App, value)
		case "did":
			return deviceID(&q.DeviceID, value)
		case "pay":
			return decodePay(&q.Pay, value)
		}
		return decodeLists(&q, name, value)
	})
	q.Version = int(version)
	switch {
	case err != nil:
	case q.Version != attestapi.Version:
		err = malformed("v is %d, and this server speaks version %d", q.Version, attestapi.Version)
	case q.Account == "" || q.DeviceID == "":
		err = malformed("account and did are required")
	}
	return q, err
}

// decodeLists reads the members of an attestation that hold several things.
func decodeLists(q *attestapi.AttestRequest, name, value string) error {
	switch name {
	case "flags":
		list, err := elements(value, name, maxFlags)
		for _, element := range list {
			var flag string
			if err := str(&flag, element, "flags", maxFlag); err != nil {
				return err
			}
			q.Flags = append(q.Flags, flag)
		}
		return err
	case "evidence":
		list, err := elements(value, name, maxEvidence)
		for _, element := range list {
			var one attestapi.Evidence
			if err := decodeEvidence(&one, element); err != nil {
				return err
			}
			q.Evidence = append(q.Evidence, one)
		}
		return err
	case "stats":
		if value == "null" {
			return nil
		}
		q.Calls = attestapi.Calls{}
		return object(value, name, func(call, value string) error {
			var n int64
			if len(call) > maxName || len(q.Calls) >= maxCalls {
				return malformed("stats holds too much")
			}
			if err := whole(&n, value, "stats", maxCallCount); err != nil {
				return err
			}
			q.Calls[call] = n
			return nil
		})
	}
	return nil
}

func decodeLibrary(into *attestapi.LibraryRef, value string) error {
	return object(value, "lib", func(name, value string) error {
		switch name {
		case "id":
			return str(&into.ID, value, "lib.id", maxName)
		case "plat":
			return str(&into.Platform, value, "lib.plat", maxName)
		case "ver":
			return str(&into.Version, value, "lib.ver", maxName)
		}
		return nil
	})
}

func decodeApp(into *attestapi.App, value string) error {
	return object(value, "app", func(name, value string) error {
		switch name {
		case "pkg":
			return str(&into.Package, value, "app.pkg", maxText)
		case "ver":
			return str(&into.Version, value, "app.ver", maxName)
		case "meas":
			return str(&into.Measurement, value, "app.meas", maxText)
		}
		return nil
	})
}

func decodeEvidence(into *attestapi.Evidence, value string) error {
	return object(value, "evidence", func(name, value string) error {
		switch name {
		case "type":
			return str(&into.Type, value, "evidence.type", maxName)
		case "data":
			return str(&into.Data, value, "evidence.data", attestapi.MaxRequest)
		}
		return nil
	})
}

// decodePay reads the hash of what tokens are to be bound to. It becomes a claim, so it must be one.
func decodePay(into *string, value string) error {
	if err := str(into, value, "pay", maxText); err != nil || *into == "" {
		return err
	}
	raw, err := base64.StdEncoding.Strict().DecodeString(*into)
	if err != nil || len(raw) != 32 || len(*into) != paySize {
		return malformed("pay must be base64 of 32 bytes")
	}
	return nil
}

// withoutEvidence is a body as it was before the evidence was added to it, which is what evidence is about (see
// attestapi.EvidenceBinding): without the member evidence, and without the comma before it, or behind it if it is the
// first. The body must have been found to be an object.
func withoutEvidence(body []byte) []byte {
	text := string(body)
	comma, cut, end := -1, -1, -1 // the comma before the member, its beginning and its end
	pos := strings.IndexByte(text, '{') + 1
	o := jose.OpenObject(text)
	for o.Next() {
		before := -1
		pos += spaces(text[pos:])
		if text[pos] == ',' {
			before = pos
			pos++
			pos += spaces(text[pos:])
		}
		start := pos
		pos += 1 + quoted(text[pos+1:])
		pos += strings.IndexByte(text[pos:], ':') + 1
		pos += spaces(text[pos:])
		pos += len(o.Value)
		if o.Name == "evidence" {
			comma, cut, end = before, start, pos
		}
	}
	switch {
	case cut < 0 || !o.OK():
		return body
	case comma >= 0:
		return []byte(text[:comma] + text[end:])
	}
	if next := end + spaces(text[end:]); text[next] == ',' {
		end = next + 1
	}
	return []byte(text[:cut] + text[end:])
}

// spaces is how many bytes of white space text begins with (RFC 8259 §2).
func spaces(text string) int { return len(text) - len(strings.TrimLeft(text, " \t\r\n")) }

// quoted is how many bytes of text belong to a string whose opening quote stands before it, the closing one included.
func quoted(text string) int {
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(text)
}
