package engine_test

import (
	"crypto/sha256"
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/approovgate/approovgate/config"
	"github.com/approovgate/approovgate/engine"
	"github.com/approovgate/approovgate/jose"
	"github.com/approovgate/approovgate/mint"
	"github.com/approovgate/approovgate/token"
)

// The request of the benchmarks: a token of 309 bytes, bound to an Authorization header of 92.
const (
	benchSecret = "TEST KEY, never use: 64 bytes of a secret for benchmarks alone!!"
	benchBearer = "Bearer 0123456789012345678901234567890123456789012345678901234567890123456789012345678901234"
	tokenSize   = 309
)

func benchClaims() map[string]any {
	return map[string]any{
		"anno": []string{"jailbroken"}, "arc": "IXPSB7TRK26LXE3M", "did": "h4gubfCFzJu81j/U2BJsdg==",
		"exp": time.Now().Add(time.Hour).Unix(), "ip": "203.0.113.77", "pay": token.Pay([]byte(benchBearer)),
	}
}

func benchToken(b *testing.B) string {
	b.Helper()
	compact, err := mint.Sign("HS256", "", []byte(benchSecret), benchClaims())
	if err != nil {
		b.Fatal(err)
	}
	if len(compact) != tokenSize {
		b.Fatalf("the token has %d bytes, want %d", len(compact), tokenSize)
	}
	return compact
}

// spoilt is a token whose signature has one character changed.
func spoilt(compact string) string {
	last := len(compact) - 2
	if compact[last] == 'A' {
		return compact[:last] + "B" + compact[last+1:]
	}
	return compact[:last] + "A" + compact[last+1:]
}

func benchKey(b *testing.B) jose.Key {
	b.Helper()
	key, err := jose.NewHS256("account", "", []byte(benchSecret), true)
	if err != nil {
		b.Fatal(err)
	}
	return key
}

func benchRing(b *testing.B) *jose.Ring {
	b.Helper()
	ring, err := jose.NewRing([]jose.Key{benchKey(b)})
	if err != nil {
		b.Fatal(err)
	}
	return ring
}

// check is a token's whole check: signature, claims, expiry, binding.
func check(ring *jose.Ring, compact string, now time.Time, accept jose.Accept) bool {
	payload, _, fault := ring.Open(compact, now.Unix(), accept)
	if fault != "" {
		return false
	}
	claims, wrong := token.Decode(payload)
	return wrong == "" && claims.At(now, 0) == "" && token.Binds(claims.Pay, benchBearer)
}

func BenchmarkToken(b *testing.B) {
	ring, now := benchRing(b), time.Now()
	good := benchToken(b)
	encrypted, err := mint.Encrypt([]byte(benchSecret), "", benchClaims())
	if err != nil {
		b.Fatal(err)
	}
	for _, row := range []struct {
		name, compact string
		want          bool
	}{
		{"verify+pay", good, true},
		{"bad-signature", spoilt(good), false},
		{"jwe+pay", encrypted, true},
	} {
		b.Run(row.name+"/approovgate", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if check(ring, row.compact, now, jose.Accept{JWS: true, JWE: true}) != row.want {
					b.Fatal("got the other verdict")
				}
			}
		})
		if row.compact == encrypted {
			continue // golang-jwt knows no JWE
		}
		b.Run(row.name+"/golang-jwt", func(b *testing.B) {
			parser := jwt.NewParser(jwt.WithValidMethods([]string{"HS256"}), jwt.WithExpirationRequired())
			keyfunc := func(_ *jwt.Token) (any, error) { return []byte(benchSecret), nil }
			b.ReportAllocs()
			for b.Loop() {
				claims := &struct {
					jwt.RegisteredClaims
					Pay string `json:"pay"`
				}{}
				_, err := parser.ParseWithClaims(row.compact, claims, keyfunc)
				sum := sha256.Sum256([]byte(benchBearer))
				if (err == nil && claims.Pay == base64.StdEncoding.EncodeToString(sum[:])) != row.want {
					b.Fatal("got the other verdict")
				}
			}
		})
	}
}

// BenchmarkCheck is a whole decision: target, host, route, token, claims, binding.
func BenchmarkCheck(b *testing.B) {
	policy, problems := config.Decode(map[string]any{
		"keys":    []any{map[string]any{"name": "account", "alg": "HS256", "secret": "env:UNUSED", "jwe": true}},
		"binding": map[string]any{"from": "header:Authorization"},
		"routes":  []any{map[string]any{"name": "health", "paths": "/health", "check": "none"}},
	})
	if config.Failed(problems) {
		b.Fatal(problems)
	}
	e, problems := engine.Compile(policy, []jose.Key{benchKey(b)}, engine.Options{})
	if config.Failed(problems) {
		b.Fatal(problems)
	}
	good := benchToken(b)
	for _, row := range []struct {
		name, target, token string
		want                engine.Reason
	}{
		{"genuine", "/v1/transfers?page=2", good, engine.OK},
		{"bad-signature", "/v1/transfers?page=2", spoilt(good), engine.SignatureInvalid},
		{"exempt", "/health", "", engine.Exempt},
		{"no-dots", "/v1/transfers", strings.Repeat("a", tokenSize), engine.TokenMalformed},
	} {
		b.Run(row.name, func(b *testing.B) {
			request := engine.Request{Method: "GET", Host: "api.example.com", Target: row.target, Peer: "192.0.2.1:4711", Header: map[string][]string{
				"Accept": {"*/*"}, "User-Agent": {"app/1.0"}, "Authorization": {benchBearer}, "Approov-Token": {row.token},
			}}
			b.ReportAllocs()
			for b.Loop() {
				if got := e.Check(request).Reason; got != row.want {
					b.Fatalf("got %s, want %s", got, row.want)
				}
			}
		})
	}
}
