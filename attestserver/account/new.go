package account

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/approovgate/approovgate/attestapi"
)

// DemoDomain is the demonstration domain of a fresh account (manual, "Adding Demonstration Shapes API"). Any account
// may add it; its tokens are signed with the account's DemoKey, so that whoever runs the demonstration never holds
// the account secret. The name is reserved (RFC 2606 §2): nobody else can serve it.
const DemoDomain = attestapi.DemoDomain

// SDKVersion is the version of the Go SDK that belongs to this server; PlatformGo is its platform.
const (
	SDKVersion = "1.0.0"
	PlatformGo = "Go"
)

const (
	secretSize      = 64                        // bytes of the account secret and those like it (manual, "Token Secret Extraction": 512 bits)
	nonceKeySize    = 32                        // bytes
	initialLifetime = 10 * 365 * 24 * time.Hour // of the management tokens made at sign-up
	firstLibrary    = 1001
)

// InitialTokens are the management tokens made at sign-up (manual, "Best Practice"). Their texts are nowhere else:
// only hashes are kept. Printing them in any way does not show them.
type InitialTokens struct {
	admin, dev string
}

// Admin is the text of the administration token.
func (t InitialTokens) Admin() string { return t.admin }

// Dev is the text of the development token.
func (t InitialTokens) Dev() string { return t.dev }

func (t InitialTokens) String() string               { return redacted }
func (t InitialTokens) GoString() string             { return redacted }
func (t InitialTokens) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// New makes a fresh account: all the keys it needs, the policy default,default,default (manual, "Security
// Policies"), IP tracking token (manual, "IP Tracking Policy"), one SDK library, and the two initial management tokens. A nil random means crypto/rand; elliptic curve
// keys always come from there.
func New(name string, random io.Reader, now time.Time, network Network) (*Account, InitialTokens, error) {
	return newAccount(name, random, now, network, nil)
}

// NewWithSecret is New for an account that takes over an existing token secret of 64 bytes (manual, "Performing the
// Transition").
func NewWithSecret(name string, random io.Reader, now time.Time, network Network, secret []byte) (*Account, InitialTokens, error) {
	if err := checkSecret(secret); err != nil {
		return nil, InitialTokens{}, err
	}
	return newAccount(name, random, now, network, slices.Clone(secret))
}

func newAccount(name string, random io.Reader, now time.Time, network Network, secret []byte) (*Account, InitialTokens, error) {
	if err := checkAccountName(name); err != nil {
		return nil, InitialTokens{}, err
	}
	if len(network.Primary) == 0 {
		return nil, InitialTokens{}, refuse(attestapi.CodeInvalid, "network: the primary address is missing; give the base URL by which apps reach the service")
	}
	random = randomOr(random)
	now = second(now)
	a := &Account{
		Name: name, Created: now, ConfigVersion: 1,
		Policy:     Policy{"default", RejectDefault, AnnotateNone},
		IPTracking: TrackToken,
		DemoDomain: DemoDomain,
		Network:    network,
	}
	a.Network = a.Clone().Network // shares nothing with the caller's
	if err := a.freshKeys(random, now, secret); err != nil {
		return nil, InitialTokens{}, err
	}
	library, err := newLibrary(random, now, firstLibrary, PlatformGo, SDKVersion)
	if err != nil {
		return nil, InitialTokens{}, err
	}
	a.Libraries = []Library{library}
	tokens, err := a.initialTokens(random, now)
	if err != nil {
		return nil, InitialTokens{}, err
	}
	a.note(Actor{Name: Service, Role: Admin}, now, "account.create", name, "")
	return a, tokens, nil
}

// freshKeys makes one key for every purpose of which an account has one. A nil secret is a random one.
func (a *Account) freshKeys(random io.Reader, now time.Time, secret []byte) error {
	for _, want := range []struct {
		purpose Purpose
		alg     string
		size    int // bytes; 0: a key pair on P-256
	}{
		{TokenKey, "HS256", secretSize}, {DemoKey, "HS256", secretSize}, {DecoyKey, "HS256", secretSize},
		{ConfigKey, "ES256", 0}, {ControlKey, "ES256", 0}, {NonceKey, "", nonceKeySize}, {ManagementKey, "HS256", secretSize},
	} {
		var material []byte
		var err error
		switch {
		case want.purpose == TokenKey && secret != nil:
			material = secret
		case want.size == 0:
			material, err = newECKey()
		default:
			material, err = randomBytes(random, want.size)
		}
		if err != nil {
			return fmt.Errorf("new key for %s: %w", want.purpose, err)
		}
		a.Keys = append(a.Keys, Key{Purpose: want.purpose, Alg: want.alg, Material: NewSecret(material), Created: now})
	}
	return nil
}

func (a *Account) initialTokens(random io.Reader, now time.Time) (InitialTokens, error) {
	var tokens InitialTokens
	for _, want := range []struct {
		role Role
		name string
		text *string
	}{{Admin, "initial admin", &tokens.admin}, {Dev, "initial dev", &tokens.dev}} {
		row := ManagementToken{Name: want.name, Role: want.role, Issued: now, Expires: now.Add(initialLifetime), Initial: true}
		text, err := a.issue(&row, random)
		if err != nil {
			return InitialTokens{}, err
		}
		*want.text = text
		a.insertToken(row)
	}
	return tokens, nil
}

const maxAccountName = 64 // bytes

// checkAccountName keeps names apart from anything that means something in a URL, a file name or a log line.
func checkAccountName(name string) error {
	ok := len(name) > 0 && len(name) <= maxAccountName
	for i := range len(name) {
		c := name[i]
		inner := i > 0 && (c == '-' || c == '_' || c == '.')
		ok = ok && (c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || inner)
	}
	if !ok {
		return refuse(attestapi.CodeInvalid, "account: %.80q is not a name of an account: use 1 to %d lower case letters, digits, dashes, periods and underscores, beginning with a letter or digit", name, maxAccountName)
	}
	return nil
}

// newECKey is a private key on P-256 in PKCS #8 form.
func newECKey() ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	return x509.MarshalPKCS8PrivateKey(key)
}

func randomOr(random io.Reader) io.Reader {
	if random == nil {
		return rand.Reader
	}
	return random
}

func randomBytes(random io.Reader, size int) ([]byte, error) {
	b := make([]byte, size)
	if _, err := io.ReadFull(random, b); err != nil {
		return nil, errors.New("the source of randomness is exhausted")
	}
	return b, nil
}

// second is a time as accounts keep it: in UTC and in whole seconds, which tokens and databases all can hold.
func second(t time.Time) time.Time { return t.UTC().Truncate(time.Second) }

// secondUp is second, rounded up: for what must last at least that long.
func secondUp(t time.Time) time.Time {
	if whole := second(t); whole.Before(t) {
		return whole.Add(time.Second)
	}
	return second(t)
}
