package main

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/approovgate/approovgate/attestapi"
)

// maxPasted bounds a text that IDs are looked for in, in bytes.
const maxPasted = 64 << 10

const (
	requestSize  = 16 // characters of a request ID
	deviceLength = 24 // characters of a device ID, two of which are padding
)

// pasted is what was found in a text that a person has copied from a log, a token or an answer: a request ID, a device
// ID, or both.
type pasted struct{ request, device string }

// Nothing of the text stands in these errors: it may be a secret.
var (
	errNoID       = misuse{errors.New("the text is not a device ID: want base64 of 16 bytes, such as h4gubfCFzJu81j/U2BJsdg==, a token or log line that holds one, or a request ID of 16 digits and letters")}
	errManagement = misuse{errors.New("this is a management token, which nobody but its holder should see; it was not sent. Give an app's token, a device ID or a request ID")}
	errEncrypted  = misuse{errors.New("the token is encrypted (JWE), so its device ID cannot be seen here; use approov token -check, the loggable token or the SDK's first log line")}
	errNoDevice   = misuse{errors.New("the token has no device ID: it was not issued to an app")}
	errUnreadable = misuse{errors.New("the text begins like a token and is none; was it cut off?")}
	errSeveral    = misuse{errors.New("the text holds several IDs; give one of them")}
)

// pastedText is a value of the command line; - stands for standard input.
func (c *console) pastedText(value string) (string, error) {
	if value != "-" {
		return value, nil
	}
	read, err := io.ReadAll(io.LimitReader(c.stdin, maxPasted+1))
	if err != nil {
		return "", fmt.Errorf("standard input: %w", err)
	}
	return string(read), nil
}

// findIDs finds the ID in a text: a request ID or a device ID alone, a token, a token's loggable form, the SDK's first
// log line (manual, "Extracting the Device ID") or a line of the service's log. A token's signature is not looked at, and
// the token goes nowhere.
func findIDs(text string) (pasted, error) {
	if len(text) > maxPasted {
		return pasted{}, misuse{fmt.Errorf("the text is longer than %d bytes; give the line that matters", maxPasted)}
	}
	devices, err := devicesOfTokens(text)
	if err != nil {
		return pasted{}, err
	}
	if len(devices) == 0 {
		devices = deviceOfObject(text)
	}
	if len(devices) == 0 {
		devices = scanDevices(text)
	}
	labelled, others := scanRequests(text)
	if len(labelled) == 0 && len(devices) == 0 {
		labelled = others
	}
	devices, labelled = distinct(devices), distinct(labelled)
	switch {
	case len(devices) > 1 || len(labelled) > 1:
		return pasted{}, errSeveral
	case len(devices) == 0 && len(labelled) == 0:
		return pasted{}, errNoID
	}
	return pasted{request: strings.Join(labelled, ""), device: strings.Join(devices, "")}, nil
}

func distinct(list []string) []string {
	slices.Sort(list)
	return slices.Compact(list)
}

// devicesOfTokens are the device IDs in the claims of tokens in a text. Every token begins with eyJ, base64url of {".
func devicesOfTokens(text string) (devices []string, err error) {
	for _, word := range strings.FieldsFunc(text, func(r rune) bool { return !(base64url(r) || r == '.') }) {
		word = strings.Trim(word, ".")
		if !strings.HasPrefix(word, "eyJ") {
			continue
		}
		did, err := deviceOfToken(word)
		if err != nil {
			return nil, err
		}
		devices = append(devices, did)
	}
	return devices, nil
}

func base64url(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '-' || r == '_'
}

// deviceOfToken is the device ID in a token's claims.
func deviceOfToken(word string) (did string, err error) {
	parts := strings.Split(word, ".")
	if len(parts) == 5 {
		return "", errEncrypted
	}
	if len(parts) != 3 {
		return "", errUnreadable
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return "", errUnreadable
	}
	var claims map[string]any
	if json.Unmarshal(payload, &claims) != nil {
		return "", errUnreadable
	}
	if _, manages := claims["acct"]; manages {
		return "", errManagement
	}
	did, _ = claims["did"].(string)
	if _, err := attestapi.ParseDeviceID(did); err != nil {
		return "", errNoDevice
	}
	return did, nil
}

// deviceOfObject is the device ID of a text that is a JSON object with one, in which slashes may be escaped.
func deviceOfObject(text string) []string {
	var object map[string]any
	if json.Unmarshal([]byte(text), &object) != nil {
		return nil
	}
	did, _ := object["did"].(string)
	if _, err := attestapi.ParseDeviceID(did); err != nil {
		return nil
	}
	return []string{did}
}

// scanDevices are the device IDs in a text that are not a part of something longer.
func scanDevices(text string) (devices []string) {
	const padding = "=="
	for at := 0; ; {
		next := strings.Index(text[at:], padding)
		if next < 0 {
			return devices
		}
		end := at + next + len(padding)
		begin := end - deviceLength
		at = end - 1 // "===" holds the padding twice
		if begin < 0 || begin > 0 && base64std(text[begin-1]) || end < len(text) && (base64std(text[end]) || text[end] == '=') {
			continue
		}
		if _, err := attestapi.ParseDeviceID(text[begin:end]); err == nil {
			devices = append(devices, text[begin:end])
		}
	}
}

func base64std(c byte) bool { return alphanumeric(c) || c == '+' || c == '/' }

func alphanumeric(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

// scanRequests are the words of a text that have the shape of a request ID: those that are called so, and others, which
// may be the hash of a device.
func scanRequests(text string) (labelled, others []string) {
	for begin := 0; begin < len(text); {
		end := begin
		for end < len(text) && alphanumeric(text[end]) {
			end++
		}
		word := text[begin:end]
		if len(word) == requestSize && strings.Trim(word, "0123456789abcdef") == "" {
			if requestLabel(text[max(0, begin-16):begin]) {
				labelled = append(labelled, word)
			} else {
				others = append(others, word)
			}
		}
		begin = max(end, begin+1)
	}
	return labelled, others
}

// requestLabel reports whether what stands before a word calls it a request ID: rid=, "request": " and the like.
func requestLabel(before string) bool {
	before = strings.ToLower(strings.TrimRight(before, "\"'`:= ([#"))
	return strings.HasSuffix(before, "rid") || strings.HasSuffix(before, "request")
}
