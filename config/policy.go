package config

import (
	"strings"
	"time"
)

// Mode says what happens to a request that fails its check.
type Mode string

// The modes, strictest first.
const (
	Enforce Mode = "enforce" // a fail is rejected
	Log     Mode = "log"     // checked and reported, always forwarded, invisible to the backend
	Bypass  Mode = "bypass"  // not checked, only counted: the emergency switch
)

// Looser reports whether m lets through more than other does.
func (m Mode) Looser(other Mode) bool { return rank(m) > rank(other) }

func rank(m Mode) int {
	switch m {
	case Bypass:
		return 2
	case Log:
		return 1
	}
	return 0 // enforce, and anything unknown: the strictest reading
}

// Policy is the gate policy: what is checked, with which keys, and what becomes of a fail.
// Decode makes one from a tree; every default is filled in and every route is complete.
type Policy struct {
	Name      string          // this gate's name, which control documents address (aud); default "approovgate"
	Token     Token           // where the token travels and how large it may be
	Keys      []Key           // what tokens are verified or decrypted with; at least one
	Targets   Targets         // how request targets are read
	Default   Rule            // for requests that no route matches, and what routes inherit
	Routes    []Route         // first match wins
	Preflight Preflight       // whether a true CORS preflight is checked; default exempt
	Respond   Respond         // what a rejected client is told
	Upstream  UpstreamHeaders // what the backend is told
	Privacy   Privacy         // what logs may show
	Report    Report          // what the go-live report tells apart
	Control   ControlSources  // where the live switch is read from
}

// Token says where the token travels.
type Token struct {
	Header   string        // header name, canonical form; default Approov-Token
	Scheme   string        // e.g. "Bearer": this prefix is then required and stripped; default none
	Leeway   time.Duration // clock skew allowed on exp and nbf, 0s to 5m; default 0s
	MaxBytes int           // longest token accepted, 512 to 65536 bytes; default 8192
	Forward  Forward       // whether the backend sees the token; default auto
}

// Forward says whether the token header is passed on to the backend.
type Forward string

// The token forwarding choices.
const (
	ForwardAuto   Forward = "auto"   // removed when enforcing, kept in log and bypass
	ForwardAlways Forward = "always" // kept in every mode
	ForwardNever  Forward = "never"  // removed in every mode
)

// Key is one entry of the policy's keys: a shared secret, a public key, or a document of several.
// Exactly one of Secret, PublicKey, JWKS and Ring is set.
type Key struct {
	Name      string        // for logs, metrics and routes[].keys; unique, required
	Alg       string        // HS256, RS256, PS256 or ES256; the one algorithm of this key; empty with JWKS and Ring
	Secret    string        // reference to an HS256 secret: file:PATH, env:NAME or inline:TEXT
	PublicKey string        // reference to a PEM public key for RS256, PS256 and ES256
	Encoding  string        // of the secret: base64 (standard or url, padding optional), base32 or raw; default base64
	JWKS      string        // reference to a JSON Web Key Set (RFC 7517 §5), or its https:// URL
	Algs      []string      // the algorithms accepted from the set; required with JWKS
	Ring      string        // https:// URL of a signed ring of keys, see DecodeRing; needs ControlSources.Keys
	CA        string        // path of a PEM file: the authorities trusted for the URL of JWKS; empty: the system's
	Refresh   time.Duration // between two looks at a URL, 1s to 24h; default 1m for JWKS, ControlSources.Interval for Ring
	Kid       string        // set: only tokens with this kid use the key; empty: tokens with any or no kid
	JWE       bool          // also accept JWE (A256GCMKW, A256GCM) under SHA-256 of the secret; default false
	NotBefore time.Time     // start of the rotation window; zero: none
	NotAfter  time.Time     // end of the rotation window (exclusive); zero: none
}

// Remote is the URL that the key's document is fetched from; empty: it is not.
func (k Key) Remote() string {
	if strings.HasPrefix(k.JWKS, "https://") {
		return k.JWKS
	}
	return k.Ring
}

// Targets says how request targets are read before routes are matched.
type Targets struct {
	EncodedSlash bool // allow %2F in paths; default false: refused
	Semicolon    bool // allow ; and %3B in paths; default false: refused
	FoldCase     bool // match paths without regard to case, for backends that do; default false
}

// Rule is what applies to a request: the policy's own values or those of the route it matched.
type Rule struct {
	Mode            Mode     // default enforce
	Rollout         int      // percent of devices enforced, 0 to 100, the others logged; default 100
	Exempt          bool     // check: none; the request is forwarded unchecked, control does not touch it
	Format          Format   // default jws
	Keys            []string // names of the keys accepted; empty: all
	Audience        string   // required aud; empty: any
	Binding         Binding  // default none
	DenyAnnotations []string // a token carrying one of these anno values is denied
	DenyIssuers     []string // a token with one of these iss values is denied
	AllowIssuers    []string // set: a token with another iss, or none, is denied
}

// Format says which token formats a rule accepts.
type Format string

// The token formats.
const (
	JWS       Format = "jws" // signed
	JWE       Format = "jwe" // encrypted
	AnyFormat Format = "any"
)

// Route is a rule and what it applies to. An empty list matches everything.
type Route struct {
	Name    string   // for logs, metrics and control; unique, default "route-N" counting from 1
	Hosts   []string // canonical: lower case, no port, no final dot
	Methods []string // upper case; GET covers HEAD
	Paths   []string // decoded: exact (one trailing slash too), or /x/** for /x and everything below it
	Rule
}

// Binding ties a token to request data: its pay claim must be the hash of that data
// (manual, "Token Binding"). The zero value binds nothing.
type Binding struct {
	From       []Source   // trimmed and concatenated without separator; empty: no binding
	TrimScheme bool       // bind the bare credential of a header instead of the full "Bearer x"
	Absent     string     // bound in place of the data when every source is missing; see HasAbsent
	HasAbsent  bool       // false: missing data is rejected
	MissingPay MissingPay // what becomes of a token without pay; default reject
}

// MissingPay says what becomes of a token without a pay claim where a binding is required.
type MissingPay string

// The choices for tokens without pay.
const (
	RejectMissing   MissingPay = "reject"
	AcceptFailover  MissingPay = "failover" // accepted only without did: a failover token (manual, "Cloud Server Redundancy")
	AcceptUnbounded MissingPay = "accept"
)

// Source names one piece of bound data.
type Source struct {
	Kind string // header, cookie, query or const
	Name string // canonical header name, cookie or parameter name, or the constant's value
}

// Preflight says whether a true CORS preflight needs a token. Browsers never send one.
type Preflight string

// The preflight choices.
const (
	PreflightExempt Preflight = "exempt"
	PreflightCheck  Preflight = "check"
)

// Respond is what a rejected client is told.
type Respond struct {
	Status      int    // for token failures, 400 to 499; default 401
	Body        string // the same for every reason; default {"error":"unauthorized"}
	ContentType string // default application/json
	Details     bool   // answer with the reason and the token's arc in place of Body; default false
}

// UpstreamHeaders names the headers that carry the verdict to the backend. The client's own copies,
// and every alias of them, are always deleted. An empty name sends nothing.
type UpstreamHeaders struct {
	Verdict string // default X-Approov-Verdict
	Reason  string // default X-Approov-Reason
	Device  string // default X-Approov-Device; only on pass
}

// Privacy says what logs may show.
type Privacy struct {
	DeviceID string // hashed (default) or raw
	IP       string // truncated (default: /24 and /48) or raw
}

// Report says what the go-live report tells apart.
type Report struct {
	AppVersion string // request header in which the app says its version, canonical form; empty: none
}

// ControlSources names where the live switch is read from. The zero value reads none.
type ControlSources struct {
	File     string        // path of a local control document, which the admin interface writes; empty: it is kept in memory only
	URL      string        // https:// URL of a signed one
	Keys     []string      // references to the PEM public keys (P-256) that remote documents and rings are signed with
	CA       string        // path of a PEM file: the authorities trusted for URL and rings; empty: the system's
	Token    string        // reference to a bearer token (RFC 6750) that is sent with requests for them; empty: none
	Cache    string        // path of a folder that keeps the last good remote documents for a restart; empty: none are kept
	Seal     string        // reference to a base64 secret that key rings are sealed with in Cache; empty: they are not kept
	Interval time.Duration // between two looks at URL, 1s to 1h; default 5s
}
