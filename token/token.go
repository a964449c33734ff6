// Package token reads what an Approov token says: its claims, the pay hash that binds it to request
// data, and the loggable form that may be shown.
//
// It owns the names, types and meaning of claims. It does not verify anything: text handed to
// [Decode] must come from a verified token. It knows no requests and no policies.
//
// Start reading at [Decode].
package token

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/approovgate/approovgate/jose"
)

// Fault says what is wrong with a set of claims. The zero value means nothing is.
type Fault string

// The faults.
const (
	Invalid    Fault = "invalid"     // not a JSON object of claims, or a claim of the wrong type
	ExpMissing Fault = "exp_missing" // no exp claim
	Expired    Fault = "expired"
	NotYet     Fault = "not_yet_valid"
)

// Claims are the claims of one token (manual, "Token Claims"; RFC 7519 §4.1). Absent text claims are
// empty. The texts share one piece of memory that nothing else uses.
type Claims struct {
	JSON       string  // the whole claims set
	Exp        float64 // expiry, Unix seconds; always positive
	NotBefore  float64 // nbf, Unix seconds; 0: absent
	Device     string  // did: base64 of 128 bits, for one app on one device
	IP         string  // ip: the address the token was fetched from
	Issuer     string  // iss: on failover and long-lived tokens, or set by account policy
	Subject    string  // sub
	Pay        string  // pay: base64 of the SHA-256 of the bound data
	ARC        string  // arc: attestation response code
	InstallKey string  // ipk: base64 of the app instance's public key
	SigningKey string  // mskid: id of the account's message signing key
	HasPay     bool    // pay is present, even if empty

	anno string // JSON text of the annotations; empty: absent
	aud  string // JSON text of the audience; empty: absent
}

// Annotations are the token's anno strings (manual, "Annotation Policies").
func (c Claims) Annotations() []string {
	var all []string
	jose.Strings(c.anno, func(text string) { all = append(all, text) })
	return all
}

// HasAudience reports whether aud is, or contains, audience (RFC 7519 §4.1.3).
func (c Claims) HasAudience(audience string) bool {
	if text, ok := jose.Text(c.aud); ok {
		return text == audience
	}
	found := false
	jose.Strings(c.aud, func(text string) { found = found || text == audience })
	return found
}

// Decode reads a claims set. It refuses what is not strict JSON (see [jose.Object]), a known claim of
// the wrong type, and a name that is a known claim's in other letter case or spelt with escapes.
// exp must be there and be a positive finite number; nbf and iat must be numbers if present. It does
// not compare any of them with a clock: see [Claims.At].
func Decode(text string) (c Claims, fault Fault) {
	c.JSON = text
	ok, hasExp := true, false
	var unused string
	o := jose.OpenObject(text)
	for o.Next() {
		var field *string // where a claim that must be a string goes
		switch o.Name {
		case "exp":
			hasExp = true
			ok = number(&c.Exp, o.Value) && c.Exp > 0 && ok
		case "nbf":
			ok = number(&c.NotBefore, o.Value) && ok
		case "iat":
			var issued float64
			ok = number(&issued, o.Value) && ok
		case "did":
			field = &c.Device
		case "ip":
			field = &c.IP
		case "iss":
			field = &c.Issuer
		case "sub":
			field = &c.Subject
		case "pay":
			c.HasPay = true
			field = &c.Pay
		case "arc":
			field = &c.ARC
		case "ipk":
			field = &c.InstallKey
		case "mskid":
			field = &c.SigningKey
		case "mpk", "imh", "dmh":
			field = &unused
		case "anno":
			c.anno = o.Value
			ok = jose.Strings(o.Value, ignore) && ok
		case "aud":
			c.aud = o.Value
			ok = audience(o.Value) && ok
		default:
			ok = !resembles(o.Name) && ok
			continue
		}
		if field != nil {
			var isText bool
			*field, isText = o.Text()
			ok = ok && isText
		}
		ok = ok && !o.Escaped // a known name, disguised
	}
	switch {
	case !o.OK() || !ok:
		return Claims{}, Invalid
	case !hasExp:
		return Claims{}, ExpMissing
	}
	return c, ""
}

func ignore(_ string) {}

func audience(raw string) bool {
	_, ok := jose.Text(raw)
	return ok || jose.Strings(raw, ignore)
}

// knownClaims are the names that may appear in exactly this spelling only.
var knownClaims = [...]string{
	"exp", "nbf", "iat", "did", "ip", "iss", "sub", "pay", "arc", "ipk", "mskid", "mpk", "imh", "dmh", "anno", "aud",
}

// resembles reports whether name is a known claim's in other letter case. encoding/json would take it
// for that claim, and so would whoever reads the token behind us.
func resembles(name string) bool {
	if len(name) > longestFold || isLower(name) {
		return false
	}
	for _, known := range knownClaims {
		if strings.EqualFold(name, known) {
			return true
		}
	}
	return false
}

// longestFold is the most bytes in which the longest known claim can be written: some characters that
// fold to ASCII letters take three.
const longestFold = 3 * len("mskid")

// isLower reports whether name has only lower-case ASCII letters, digits and punctuation, and so folds
// to nothing but itself.
func isLower(name string) bool {
	for i := 0; i < len(name); i++ {
		if c := name[i]; c >= 'A' && c <= 'Z' || c >= 0x80 {
			return false
		}
	}
	return true
}

// number stores the finite JSON number that raw must be (RFC 7519 §2, NumericDate).
func number(field *float64, raw string) bool {
	if raw == "" || raw[0] != '-' && (raw[0] < '0' || raw[0] > '9') {
		return false
	}
	if len(raw) <= exactDigits {
		if whole, ok := digits(raw); ok {
			*field = float64(whole)
			return true
		}
	}
	value, err := strconv.ParseFloat(raw, 64)
	*field = value
	return err == nil
}

// exactDigits is how many decimal digits a float64 always holds exactly.
const exactDigits = 15

func digits(raw string) (int64, bool) {
	var whole int64
	for i := 0; i < len(raw); i++ {
		if raw[i] < '0' || raw[i] > '9' {
			return 0, false
		}
		whole = whole*10 + int64(raw[i]-'0')
	}
	return whole, true
}

// At judges exp and nbf at a moment, with leeway for clocks that differ: a token is valid before exp,
// not at it (RFC 7519 §4.1.4), and from nbf on (§4.1.5).
func (c *Claims) At(now time.Time, leeway time.Duration) Fault {
	if !now.Add(-leeway).Before(moment(c.Exp)) {
		return Expired
	}
	if c.NotBefore != 0 && now.Add(leeway).Before(moment(c.NotBefore)) {
		return NotYet
	}
	return ""
}

// farFuture bounds what is turned into a time; later moments would overflow and need no comparing.
const farFuture = 1 << 50 // Unix seconds, 35 million years

func moment(seconds float64) time.Time {
	if seconds > farFuture {
		return time.Unix(farFuture, 0)
	}
	if seconds < -farFuture {
		return time.Unix(-farFuture, 0)
	}
	whole := math.Floor(seconds)
	return time.Unix(int64(whole), int64((seconds-whole)*1e9))
}

// paySize is the length of a pay claim: standard base64, with padding, of a SHA-256.
const paySize = 44

// Pay is the pay claim that binds a token to data: base64 of its SHA-256 (manual, "Token Binding").
func Pay(data []byte) string {
	sum := sha256.Sum256(data)
	return base64.StdEncoding.EncodeToString(sum[:])
}

// boundRoom fits the bound data of all but unusual requests on the stack.
const boundRoom = 512

// Binds reports whether pay is the hash of data, in exactly the spelling of [Pay].
func Binds(pay, data string) bool {
	if len(pay) != paySize {
		return false
	}
	var room [boundRoom]byte
	sum := sha256.Sum256(append(room[:0], data...))
	var want, given [paySize]byte
	base64.StdEncoding.Encode(want[:], sum[:])
	copy(given[:], pay)
	return subtle.ConstantTimeCompare(want[:], given[:]) == 1
}

// sipSize is how many characters of the signature a loggable token shows: 36 bits.
const sipSize = 6

// Loggable is the form of a compact token that may be logged: its claims with sip, the first six
// characters of the signature (manual, "Loggable Tokens"). A token whose claims cannot be seen gives
// {"error":"JWE"}, one that is no token {"error":"MALFORMED"}. Nothing is verified.
func Loggable(compact string) string {
	dots := strings.Count(compact, ".")
	if dots == 4 {
		return `{"error":"JWE"}`
	}
	if dots != 2 {
		return `{"error":"MALFORMED"}`
	}
	parts := strings.Split(compact, ".")
	if len(parts[2]) >= sipSize {
		text, err := base64.RawURLEncoding.Strict().DecodeString(parts[1])
		body := strings.TrimRight(string(text), " \t\r\n")
		if err == nil && validObject(body) && plain(parts[2][:sipSize]) {
			body = body[:len(body)-1]
			if !strings.HasSuffix(strings.TrimRight(body, " \t\r\n"), "{") {
				body += ","
			}
			return body + `"sip":"` + parts[2][:sipSize] + `"}`
		}
	}
	return `{"error":"MALFORMED"}`
}

// SIP is the sip claim of a token's loggable form: the first six characters of the signature. Together with
// the claims it lets whoever has the secret tell whether a token was genuine. Empty: compact is no JWS.
func SIP(compact string) string {
	last := strings.LastIndexByte(compact, '.') + 1
	if strings.Count(compact, ".") != 2 || len(compact)-last < sipSize || !plain(compact[last:last+sipSize]) {
		return ""
	}
	return compact[last : last+sipSize]
}

func validObject(text string) bool {
	o := jose.OpenObject(text)
	for o.Next() {
		if o.Name == "sip" {
			return false
		}
	}
	return o.OK()
}

func plain(text string) bool {
	for i := 0; i < len(text); i++ {
		c := text[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_') {
			return false
		}
	}
	return true
}
