package attestapi

import "time"

// The management API: every path below PathManage, with a management token as bearer. Times are RFC 3339. Every
// answer about the account carries its version as ETag; a change may carry it as If-Match. A change with
// ?dry_run=true is judged and answered like any other, and not made. A change that has no answer of its own is
// answered with Changed. The tag required tells package manage which members may be left out.
const (
	PathManage  = "/mgmt/v1"
	PathAccount = PathManage + "/account" // GET: AccountInfo

	PathDomains = PathManage + "/domains" // GET: Domains; POST: APIDomain, adds or changes it; PUT: Domains, replaces all; DELETE ?domain=

	PathRegistrations = PathManage + "/registrations" // GET: Registrations; POST: NewRegistration → Registered; DELETE ?signature=, or ?package=&older_than=3d → Registrations that were removed

	PathPolicy     = PathManage + "/policy"      // GET, PUT: PolicySetting
	PathIPTracking = PathManage + "/ip-tracking" // GET, PUT: IPTrackingSetting

	PathDevices = PathManage + "/devices" // GET: Devices; POST: Device, adds or changes it; DELETE ?did=

	PathExampleToken   = PathManage + "/tokens/example"    // POST: ExampleToken → IssuedToken
	PathLongLivedToken = PathManage + "/tokens/long-lived" // POST: LongLivedToken → IssuedToken
	PathCheckToken     = PathManage + "/tokens/check"      // POST: CheckToken → CheckedToken

	PathSecret       = PathManage + "/secret"        // GET: Secret, or with ?domain= that of the demonstration domain
	PathSecretUpdate = PathManage + "/secret/update" // POST, no body: Secret
	PathSecretImport = PathManage + "/secret/import" // POST: Secret: takes over an existing one

	PathMessageKey = PathManage + "/secret/message-signing" // GET: MessageSigningKey; POST, no body: a new one → MessageSigningKey; DELETE

	PathKeyset = PathManage + "/keyset" // GET: Keyset; POST: NewKey → Keyset; DELETE ?kid=

	PathSDKConfig    = PathManage + "/sdk/config"    // GET: ConfigResponse, the initial configuration
	PathSDKLibraries = PathManage + "/sdk/libraries" // GET: SDKLibraries; POST: NewLibraryOrder → SDKLibrary with File; DELETE ?id=
	PathSDKLibrary   = PathManage + "/sdk/library"   // GET ?id= (default: the latest) &platform=: SDKLibrary with File

	PathManagementTokens = PathManage + "/management-tokens" // GET: ManagementTokens; POST: NewManagementToken → ManagementToken with Token; DELETE ?id=, or ?token=

	PathGateway     = PathManage + "/gateway"      // GET ?gate=: GatewayMode; PUT: GatewayMode → GatewayMode
	PathGatewayKeys = PathManage + "/gateway/keys" // GET: GatewayKeys, to be pinned in gates' policies

	PathAudit = PathManage + "/audit" // GET ?before=SEQ&limit=: Audit, the newest first

	PathOpenAPI = PathManage + "/openapi.json" // GET, without a token: the OpenAPI 3.1 document of all this
)

// MaxManageRequest bounds a request of the management API, in bytes.
const MaxManageRequest = 1 << 20

// Roles of management tokens (manual, "Management Tokens"). Gateway is ours: it may read control and keys only.
const (
	RoleDev     = "dev"
	RoleAdmin   = "admin"
	RoleGateway = "gateway"
)

// AccountInfo says who asks, and of which account.
type AccountInfo struct {
	Account string    `json:"account"`
	Version int64     `json:"version"`
	Server  string    `json:"server_version"`
	TokenID string    `json:"token_id"`
	Role    string    `json:"role"`
	Email   string    `json:"email"`
	Name    string    `json:"name"`
	Expires time.Time `json:"expires"`
}

// Changed answers a change that has no more to say.
type Changed struct {
	Version int64    `json:"version"`           // of the account after the change
	DryRun  bool     `json:"dry_run,omitempty"` // it was not made
	Notes   []string `json:"notes,omitempty"`   // what the person should know
}

// APIDomain is an API domain (manual, "Managing API Domains").
type APIDomain struct {
	Domain string   `json:"domain"`
	Format string   `json:"format" required:"false"` // jws (default), jwe, or none: a known domain that needs no tokens
	KeyID  string   `json:"kid,omitempty"`           // of the keyset's key that signs its tokens; empty: the account secret
	Pins   []string `json:"pins" required:"false"`   // base64 of SHA-256 of the subject public key info
	Demo   bool     `json:"demo,omitempty"`          // the demonstration domain, with a secret of its own; not to be changed
}

// DemoDomain is the demonstration domain of every account (manual, "Adding Demonstration Shapes API"). The name is
// reserved (RFC 2606 §2), so nothing is served there by which it could be pinned.
const DemoDomain = "shapes.example"

// Domains are the account's API domains, by name.
type Domains struct {
	Domains []APIDomain `json:"domains"`
}

// NewRegistration registers an app (manual, "Registering an App").
type NewRegistration struct {
	Digest   string `json:"digest"` // base64 of SHA-256 of the app
	Package  string `json:"package"`
	Version  string `json:"version"` // such as 2.0[3], or 2.0 without a build number
	Library  string `json:"library_id"`
	Lifetime string `json:"lifetime,omitempty"` // such as 3d12h; empty: for good
}

// Registration is a registered app.
type Registration struct {
	Signature  string    `json:"signature"` // digest=package-version-library (manual, "Listing Registrations")
	Package    string    `json:"package"`
	Version    string    `json:"version"`
	Library    string    `json:"library_id"`
	Platform   string    `json:"platform"`
	SDKVersion string    `json:"sdk_version"`
	Registered time.Time `json:"registered"`
	Expires    time.Time `json:"expires,omitzero"` // zero: never
	By         string    `json:"by"`
}

// Registered answers a NewRegistration.
type Registered struct {
	Changed
	Registration Registration `json:"registration"`
}

// Registrations are registered apps, the latest first.
type Registrations struct {
	Changed
	Registrations []Registration `json:"registrations"`
}

// PolicySetting is the account's security policy: rules,rejection,annotation.
type PolicySetting struct {
	Policy string `json:"policy"`
}

// IPTrackingSetting is none, token or full (manual, "IP Tracking Policy").
type IPTrackingSetting struct {
	Tracking string `json:"tracking"`
}

// Device is a device with a policy or pin mode of its own (manual, "Managing Devices").
type Device struct {
	DeviceID string `json:"did"`
	Policy   string `json:"policy,omitempty"`   // empty: the account's
	PinMode  string `json:"pin_mode,omitempty"` // pin, unpin, block or blockAll; empty: pin
	By       string `json:"by,omitempty"`
}

// Devices are the account's devices.
type Devices struct {
	Devices []Device `json:"devices"`
}

// ExampleToken asks for a token to test with (manual, "Generating Example Tokens").
type ExampleToken struct {
	Domain string `json:"domain"`
	Type   string `json:"type,omitempty"` // valid (default), invalid, expired or failover
	Data   string `json:"data,omitempty"` // to bind it to, as SetDataHashInToken does
}

// LongLivedToken asks for a token for a server (manual, "Long Lived Approov Tokens").
type LongLivedToken struct {
	Name     string `json:"name"`     // becomes iss
	Lifetime string `json:"lifetime"` // such as 90d
}

// IssuedToken is a token made by hand.
type IssuedToken struct {
	Token   string    `json:"token"`
	Expires time.Time `json:"expires"`
}

// CheckToken asks what a token is (manual, "Checking Token Validity").
type CheckToken struct {
	Token string `json:"token"` // a token, or its loggable form
}

// CheckedToken says what it is.
type CheckedToken struct {
	Valid   bool   `json:"valid"`
	Expired bool   `json:"expired"`
	Kind    string `json:"kind"`   // JWS, JWE, loggable JWS, or empty if it is no token
	Claims  string `json:"claims"` // as JSON text; empty if they cannot be read
}

// Secret is the account's token secret, base64 of 64 bytes.
type Secret struct {
	Secret string `json:"secret"`
}

// MessageSigningKey is the account's key for signing messages: what apps with a good attestation sign their requests to
// APIs with (see AttestResponse.Message), and what those APIs verify it with.
type MessageSigningKey struct {
	ID  string `json:"key_id"` // claim mskid of the tokens that go with it
	Key string `json:"key"`    // base64url without padding (RFC 4648 §5), of 32 bytes
}

// Keyset are the account's public keys for ES256 and RS256, as a JWK set for gates.
type Keyset struct {
	Keys []map[string]string `json:"keys"`
}

// NewKey asks for a key in the keyset.
type NewKey struct {
	Alg string `json:"alg"` // ES256 or RS256
	ID  string `json:"kid"`
}

// NewLibraryOrder asks for a new SDK library.
type NewLibraryOrder struct {
	Platform string `json:"platform"`                 // Go
	Version  string `json:"version" required:"false"` // of the SDK it is for; empty: the server's own
}

// SDKLibrary is an SDK library of the account.
type SDKLibrary struct {
	ID       string    `json:"id"`
	Platform string    `json:"platform"`
	Version  string    `json:"version"`
	Created  time.Time `json:"created"`
	File     []byte    `json:"file,omitempty"` // see Library.Encode
}

// SDKLibraries are the account's SDK libraries, the latest first.
type SDKLibraries struct {
	Libraries []SDKLibrary `json:"libraries"`
}

// NewManagementToken asks for a management token (manual, "Management Tokens").
type NewManagementToken struct {
	Email    string `json:"email" required:"false"`
	Name     string `json:"name"`
	Lifetime string `json:"lifetime"` // such as 1d
	Role     string `json:"role"`
}

// ManagementToken is a management token. Its text is shown once, when it is made.
type ManagementToken struct {
	ID      string    `json:"id"`
	Email   string    `json:"email"`
	Name    string    `json:"name"`
	Role    string    `json:"role"`
	Issued  time.Time `json:"issued"`
	Expires time.Time `json:"expires"`
	Token   string    `json:"token,omitempty"`
}

// ManagementTokens are the account's management tokens that the asking one may see.
type ManagementTokens struct {
	Tokens []ManagementToken `json:"tokens"`
}

// GatewayMode is the live switch of gates, see config.Control: what the signed control document will say.
type GatewayMode struct {
	Gates   []string          `json:"gates"`            // names of gates; required in a change
	Mode    string            `json:"mode,omitempty"`   // enforce, log, bypass; empty or resume: the policy's
	Routes  map[string]string `json:"routes,omitempty"` // modes of single routes
	For     string            `json:"for,omitempty"`    // such as 15m or 1d, at most a day; empty: an hour
	Until   time.Time         `json:"until,omitzero"`   // in answers; in a change in place of For, and as late as one likes
	Reason  string            `json:"reason,omitempty"`
	By      string            `json:"by,omitempty"`      // in answers
	Version int64             `json:"version,omitempty"` // in answers: of the document
}

// GatewayKeys are what gates pin: the public key that control documents and rings are signed with, as PEM.
type GatewayKeys struct {
	PublicKey string `json:"public_key"`
}

// AuditEntry is one change of the account.
type AuditEntry struct {
	Sequence int64     `json:"seq"`
	At       time.Time `json:"at"`
	By       string    `json:"by"`
	Role     string    `json:"role"`
	Action   string    `json:"action"`  // such as registration.add
	Subject  string    `json:"subject"` // what was changed
	Detail   string    `json:"detail,omitempty"`
	Request  string    `json:"rid"`
}

// Audit is a page of the account's changes.
type Audit struct {
	Entries []AuditEntry `json:"entries"`
	Next    int64        `json:"next,omitempty"` // pass it as before for the next page; 0: there is none
}

// Problem is an error of the management API and of the attestation API (RFC 9457, application/problem+json).
type Problem struct {
	Type    string `json:"type,omitempty"`
	Title   string `json:"title"`
	Status  int    `json:"status"`
	Detail  string `json:"detail"`
	Code    string `json:"code"` // see the Code constants; never changes
	Request string `json:"rid"`
}

// The codes of problems.
const (
	CodeMalformed    = "malformed"    // 400: not what this path takes
	CodeInvalid      = "invalid"      // 422: a value is not allowed; Detail names it and the fix
	CodeUnauthorized = "unauthorized" // 401: the management token is invalid, revoked or expired
	CodeForbidden    = "forbidden"    // 403: the token's role may not do this
	CodeNotFound     = "not_found"    // 404
	CodeConflict     = "conflict"     // 409: it is there already, or in the way
	CodeStale        = "stale"        // 412: the account has changed since If-Match
	CodeLimit        = "limit"        // 409: the account has as many as it may have
	CodeTooLarge     = "too_large"    // 413
	CodeRateLimited  = "rate_limited" // 429, with Retry-After
	CodeUnavailable  = "unavailable"  // 503, with Retry-After: the database cannot be reached
	CodeInternal     = "internal"     // 500
	CodeUnreachable  = "unreachable"  // 502: the domain that was to be looked at; Detail says why

	CodeAccountUnknown = "account_unknown" // 403, of the attestation API: there is no such account, or no longer
)
