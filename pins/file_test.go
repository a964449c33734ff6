package pins

import (
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/base64"
	"encoding/pem"
	"os"
	"strings"
	"testing"
	"time"
)

// R124, R125: the pins and subjects that the manual prints for these roots of Amazon.
func TestFromPEMAsInTheManual(t *testing.T) {
	text, err := os.ReadFile("testdata/amazon.pem")
	if err != nil {
		t.Fatal(err)
	}
	got, err := FromPEM(text)
	want := []Certificate{
		{"++MBgDH5WGvL9Bcn5Be30cRcL0f5O+NyoXuWtQdX1aI=", time.Date(2038, 1, 17, 0, 0, 0, 0, time.UTC), "CN=Amazon Root CA 1,O=Amazon,C=US"},
		{"KwccWaCgrnaw6tsrrSO61FgLacNgG2MMLq8GE6+oP5I=", time.Date(2037, 12, 31, 23, 59, 59, 0, time.UTC),
			`CN=Starfield Services Root Certificate Authority - G2,O=Starfield Technologies\, Inc.,L=Scottsdale,ST=Arizona,C=US`},
	}
	if err != nil || len(got) != len(want) {
		t.Fatalf("got %v, %v, want %v", got, err, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("got %v, want %v", got[i], want[i])
		}
	}
}

func TestFromPEM(t *testing.T) {
	root := ca(t, nil, ec(t, elliptic.P256()), subjectOf(part{commonName, "Root"}), farAway)
	one := string(pemOf(root))
	key := "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"
	for _, row := range []struct {
		name, text string
		many       int
		want       string // of the error
	}{
		{"one", one, 1, ""},
		{"two, with text around them", "hello\n" + one + "subject=x\n\n" + one, 2, ""},
		{"lines that end as on Windows", strings.ReplaceAll(one, "\n", "\r\n"), 1, ""},
		{"beside its key", key + one, 1, ""},
		{"a key alone", key, 0, "it holds no PEM certificate"},
		{"nothing", "", 0, "it holds no PEM certificate"},
		{"as DER", string(root.Raw), 0, "openssl x509 -inform der"},
		{"a request", strings.ReplaceAll(one, "CERTIFICATE", "CERTIFICATE REQUEST"), 0, "it holds no PEM certificate"},
		{"the second is cut off", one + one[:len(one)/2], 0, "1 of its 2 certificates are damaged"},
		{"the first lacks its end line", strings.Replace(one, "-----END CERTIFICATE-----\n", "", 1) + one, 0, "1 of its 2 certificates are damaged"},
		{"not a certificate within", one + "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", 0, "certificate 2 in it cannot be read"},
		{"too many", strings.Repeat(one, 33), 0, "it holds more than 32 certificates"},
		{"too long", strings.Repeat("\n", MaxPEM) + one, 0, "it is longer than 1048576 bytes"},
	} {
		got, err := FromPEM([]byte(row.text))
		if len(got) != row.many || (err == nil) != (row.want == "") || err != nil && !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: got %d certificates, %v, want %d, %q", row.name, len(got), err, row.many, row.want)
		}
	}
}

func TestIsPin(t *testing.T) {
	for _, row := range []struct {
		name, text string
		want       bool
	}{
		{"a pin", "Q62DnTGJsy1h+ude8HB5ZjKy0Vhg2pvTzjplWSD3hkk=", true},
		{"a line end", "Q62DnTGJsy1h+ude8HB5ZjKy0Vhg2pvTzjplWSD3hkk=\n", false},
		{"a line end within", "Q62DnTGJsy1h+ude8HB5\nZjKy0Vhg2pvTzjplWSD3hkk=", false},
		{"unused bits that are set", "Q62DnTGJsy1h+ude8HB5ZjKy0Vhg2pvTzjplWSD3hkl=", false},
		{"the alphabet of URLs", "Q62DnTGJsy1h-ude8HB5ZjKy0Vhg2pvTzjplWSD3hkk=", false},
		{"with its prefix in OkHttp", "sha256/Q62DnTGJsy1h+ude8HB5ZjKy0Vhg2pvTzjplWSD3hkk=", false},
		{"too short", "Q62D", false},
		{"nothing", "", false},
	} {
		if got := IsPin(row.text); got != row.want {
			t.Errorf("%s: got %v, want %v", row.name, got, row.want)
		}
	}
}

// FuzzFromPEM compares with a reading of the certificates that looks at nothing but where the key stands in them.
func FuzzFromPEM(f *testing.F) {
	text, err := os.ReadFile("testdata/amazon.pem")
	if err != nil {
		f.Fatal(err)
	}
	root := ca(f, nil, ec(f, elliptic.P384()), subjectOf(part{commonName, "Root"}), farAway)
	f.Add(text)
	f.Add(pemOf(root))
	f.Add([]byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"))
	f.Add([]byte("-----BEGIN CERTIFICATE-----\n" + string(pemOf(root, root))))
	f.Fuzz(func(t *testing.T, text []byte) {
		got, err := FromPEM(text)
		if err != nil {
			if len(got) != 0 {
				t.Errorf("got %v with the error %v, want one of the two", got, err)
			}
			return
		}
		var want []string
		for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
			if block.Type == "CERTIFICATE" {
				want = append(want, slowPin(t, block.Bytes))
			}
		}
		if len(got) != len(want) || len(got) == 0 {
			t.Fatalf("got %d certificates, want %d, and one at least", len(got), len(want))
		}
		for i, c := range got {
			if c.Pin != want[i] || !IsPin(c.Pin) || strings.ContainsAny(c.Subject, "\n\r\x1b") || len(c.Subject) > maxSubject+3 {
				t.Errorf("got %v, want the pin %s", c, want[i])
			}
		}
	})
}

// slowPin goes through a certificate up to its key, as RFC 5280 §4.1 has it. What comes after is no matter of the pin:
// crypto/x509 overlooks some of it, too.
func slowPin(t *testing.T, der []byte) string {
	t.Helper()
	next := func(in []byte) (element asn1.RawValue, rest []byte) {
		rest, err := asn1.Unmarshal(in, &element)
		if err != nil {
			t.Fatalf("slow reading: %v", err)
		}
		return element, rest
	}
	certificate, _ := next(der)
	signed, _ := next(certificate.Bytes)
	element, rest := next(signed.Bytes)
	if element.Class == asn1.ClassContextSpecific { // the version, else the serial number
		_, rest = next(rest)
	}
	for range 4 { // algorithm, issuer, validity, subject
		_, rest = next(rest)
	}
	key, _ := next(rest)
	sum := sha256.Sum256(key.FullBytes)
	return base64.StdEncoding.EncodeToString(sum[:])
}
