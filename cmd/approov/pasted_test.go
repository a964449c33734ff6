package main

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"
)

const (
	aDevice  = "h4gubfCFzJu81j/U2BJsdg=="
	another  = "AAAAAAAAAAAAAAAAAAAAAQ=="
	aRequest = "0123456789abcdef"
	anApp    = "eyJhbGciOiJIUzI1NiJ9.eyJkaWQiOiJoNGd1YmZDRnpKdTgxai9VMkJKc2RnPT0ifQ.c2ln" // its did is aDevice
)

// made is a token with claims, by a library that is not ours.
func made(t testing.TB, claims jwt.MapClaims) string {
	t.Helper()
	text, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString([]byte("key"))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestFindIDs(t *testing.T) {
	for _, row := range []struct {
		name, text      string
		request, device string
		err             error
	}{
		{"a device ID", aDevice, "", aDevice, nil},
		{"in quotes and spaces", " \"" + aDevice + "\" \n", "", aDevice, nil},
		{"the manual's log line", "test-account, com.criticalblue.demo, 2.0.4(1039), " + aDevice, "", aDevice, nil},
		{"with what Android's log puts before it", "03-01 12:00:00.000 1 1 I Approov: test-account, com.criticalblue.demo, 2.0.4(1039), " + aDevice, "", aDevice, nil},
		{"behind an equals sign", "did=" + aDevice + ";", "", aDevice, nil},
		{"twice the same", aDevice + " " + aDevice, "", aDevice, nil},
		{"two", aDevice + " " + another, "", "", errSeveral},
		{"a request ID", aRequest, aRequest, "", nil},
		{"a request ID in brackets", "[" + aRequest + "]", aRequest, "", nil},
		{"two request IDs", aRequest + " 0123456789abcdee", "", "", errSeveral},
		{"the service's log line", `time=x msg="attestation failed" device=0011223344556677 rid=` + aRequest, aRequest, "", nil},
		{"the service's log line in JSON", `{"device":"0011223344556677","package":"a","rid":"` + aRequest + `"}`, aRequest, "", nil},
		{"what says request", `{"device":"0011223344556677","request":"` + aRequest + `"}`, aRequest, "", nil},
		{"a problem", `{"title":"Forbidden","rid":"` + aRequest + `"}`, aRequest, "", nil},
		{"both, as approov explain prints them", "[" + aRequest + "] device " + aDevice, "", aDevice, nil},
		{"both, called so", "rid " + aRequest + " did " + aDevice, aRequest, aDevice, nil},
		{"a loggable token", `{"did":"` + aDevice + `","exp":1,"pay":"tih+xRFV8PMsDhKthuFdvqWtQpKdT+K8X5W3258EJnU=","sip":"AAAAAA"}`, "", aDevice, nil},
		{"a loggable token with escaped slashes", `{"did":"` + strings.ReplaceAll(aDevice, "/", `\/`) + `"}`, "", aDevice, nil},
		{"a device ID beside another that is not the device's", `{"did":"` + aDevice + `","x":"` + another + `"}`, "", aDevice, nil},
		{"a loggable token without a token", `{"error":"NO_NETWORK"}`, "", "", errNoID},
		{"a token", anApp, "", aDevice, nil},
		{"a token of another library", made(t, jwt.MapClaims{"did": another, "exp": 1}), "", another, nil},
		{"a token in a header", "Approov-Token: " + anApp + "\r\n", "", aDevice, nil},
		{"a token in curl", "curl -H 'Approov-Token: " + anApp + "' https://api.example.com/v1", "", aDevice, nil},
		{"a token at the end of a sentence", "I got " + anApp + ".", "", aDevice, nil},
		{"a token without did", made(t, jwt.MapClaims{"iss": "server"}), "", "", errNoDevice},
		{"a token whose did is none", made(t, jwt.MapClaims{"did": "x"}), "", "", errNoDevice},
		{"a token whose did is a number", made(t, jwt.MapClaims{"did": 7}), "", "", errNoDevice},
		{"a token that is encrypted", "eyJhbGciOiJBMjU2R0NNS1ciLCJlbmMiOiJBMjU2R0NNIn0.a.b.c.d", "", "", errEncrypted},
		{"a token cut off", anApp[:30], "", "", errUnreadable},
		{"a token cut off in its claims", "eyJhbGciOiJIUzI1NiJ9.eyJkaWQ.c2ln", "", "", errUnreadable},
		{"a management token", made(t, jwt.MapClaims{"acct": "a", "jti": "x", "did": aDevice}), "", "", errManagement},
		{"a management token beside a device ID", aDevice + " " + made(t, jwt.MapClaims{"acct": "a"}), "", "", errManagement},
		{"nothing", "", "", "", errNoID},
		{"words", "the app does not work", "", "", errNoID},
		{"a digest", "tih+xRFV8PMsDhKthuFdvqWtQpKdT+K8X5W3258EJnU=", "", "", errNoID},
		{"longer base64 that ends like a device ID", "AAAA" + aDevice, "", "", errNoID},
		{"too much padding", aDevice + "=", "", "", errNoID},
		{"base64 of 16 bytes with bits left over", "AAAAAAAAAAAAAAAAAAAAAB==", "", "", errNoID},
		{"a longer number", aRequest + "0", "", "", errNoID},
		{"a request ID in capitals", strings.ToUpper(aRequest), "", "", errNoID},
	} {
		got, err := findIDs(row.text)
		if got != (pasted{row.request, row.device}) || !errors.Is(err, row.err) {
			t.Errorf("%s: got %+v, %v, want %q, %q, %v", row.name, got, err, row.request, row.device, row.err)
		}
	}
	if _, err := findIDs(strings.Repeat(" ", maxPasted) + aDevice); err == nil {
		t.Error("a whole log: got no error, want one")
	}
}

var (
	deviceForm   = regexp.MustCompile(`^[A-Za-z0-9+/]{21}[AQgw]==$`)
	beforeDevice = regexp.MustCompile(`[A-Za-z0-9+/]$`)
	afterDevice  = regexp.MustCompile(`^[A-Za-z0-9+/=]`)
	anyWord      = regexp.MustCompile(`[A-Za-z0-9]+`)
	requestWord  = regexp.MustCompile(`^[0-9a-f]{16}$`)
	tokenWord    = regexp.MustCompile(`eyJ[A-Za-z0-9_.-]*`)
)

// FuzzFindIDs holds what is found in a text to what regular expressions find at every place of it, and what is found in
// a token to what another library reads. The device ID of a token must be found whatever stands around it.
func FuzzFindIDs(f *testing.F) {
	f.Add("test-account, com.criticalblue.demo, 2.0.4(1039), ", []byte("0123456789abcdef"), "")
	f.Add("request="+aRequest+" device=", []byte("0123456789abcde"), "===")
	f.Add(`{"did":"`+aDevice+`"}`, []byte{}, anApp)
	f.Add(aDevice+aDevice, []byte("0123456789abcdefg"), "A")
	f.Add(`{"rid":"`+aRequest+`"}`, []byte{255}, made(f, jwt.MapClaims{"acct": "a"}))
	f.Fuzz(func(t *testing.T, before string, id []byte, after string) {
		did := base64.StdEncoding.EncodeToString(id)
		text := before + did + after
		var devices, requests []string
		for i := 0; i+deviceLength <= len(text); i++ {
			end := i + deviceLength
			if deviceForm.MatchString(text[i:end]) && !beforeDevice.MatchString(text[max(0, i-1):i]) && !afterDevice.MatchString(text[end:min(len(text), end+1)]) {
				devices = append(devices, text[i:end])
			}
		}
		for _, word := range anyWord.FindAllString(text, -1) {
			if requestWord.MatchString(word) {
				requests = append(requests, word)
			}
		}
		if got := scanDevices(text); !slices.Equal(got, devices) {
			t.Errorf("%q: got devices %q, want %q", text, got, devices)
		}
		labelled, others := scanRequests(text)
		if got := slices.Concat(labelled, others); !slices.Equal(slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(requests))) {
			t.Errorf("%q: got requests %q, want %q", text, got, requests)
		}
		found, err := findIDs(text)
		if err != nil {
			if found != (pasted{}) {
				t.Errorf("%q: got %+v with an error", text, found)
			}
		} else if found.request != "" && !slices.Contains(requests, found.request) {
			t.Errorf("%q: got request %q, want one of %q", text, found.request, requests)
		} else if !slices.Contains(slices.Concat(devices, oracle(text), []string{""}), found.device) {
			t.Errorf("%q: got device %q, want one of %q or %q", text, found.device, devices, oracle(text))
		}
		if len(id) != 16 || tokenWord.MatchString(before+" "+after) || len(text) > maxPasted/2 {
			return
		}
		text = before + " " + made(t, jwt.MapClaims{"did": did}) + " " + after
		if found, err := findIDs(text); !errors.Is(err, errSeveral) && (err != nil || found.device != did) {
			t.Errorf("%q: got %+v, %v, want the token's device %s", text, found, err, did)
		}
	})
}

// oracle are the device IDs that other libraries read in the tokens of a text, and in a text that is JSON.
func oracle(text string) (devices []string) {
	for _, word := range tokenWord.FindAllString(text, -1) {
		var claims map[string]any
		parts := strings.Split(strings.Trim(word, "."), ".")
		if payload, err := jwt.NewParser().DecodeSegment(parts[min(1, len(parts)-1)]); err == nil && json.Unmarshal(payload, &claims) == nil {
			did, _ := claims["did"].(string)
			devices = append(devices, did)
		}
	}
	var object map[string]json.RawMessage
	var did string
	if json.Unmarshal([]byte(text), &object) == nil && json.Unmarshal(object["did"], &did) == nil {
		devices = append(devices, did)
	}
	return devices
}
