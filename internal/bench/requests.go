package main

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/approovgate/approovgate/mint"
	"github.com/approovgate/approovgate/token"
)

// The request of the measurement: a token of 309 bytes, bound to an Authorization header of 92.
const (
	secret    = "TEST KEY, never use: 64 bytes of a secret for benchmarks alone!!"
	bearer    = "Bearer 0123456789012345678901234567890123456789012345678901234567890123456789012345678901234"
	tokenSize = 309 // bytes
	lifetime  = 24 * time.Hour
)

// The request around its token, as an app's library writes it. With fewer fields than eight the bare proxy
// alone would fit its header into the smallest kind of map, which flatters it.
const (
	headBefore = "GET /v1/shapes?page=1 HTTP/1.1\r\nHost: api.example.com\r\nUser-Agent: okhttp/4.12.0\r\n" +
		"Accept: application/json\r\nAccept-Encoding: gzip\r\nAccept-Language: en-GB\r\nX-App-Version: 7.31.0\r\n" +
		"X-Request-Id: 0123456789abcdef\r\nAuthorization: " + bearer + "\r\n"
	headAfter = "\r\n\r\n"
)

// What a request carries. The zero value is a genuine token.
type cargo string

const (
	genuine  cargo = ""
	badSign  cargo = "a bad signature" // a genuine token but for one character
	expired  cargo = "an expired token"
	wrongPay cargo = "a token bound to another Authorization"
	noToken  cargo = "no token"
)

// status is what a proxy that checks tokens answers.
func (c cargo) status() int {
	if c == genuine {
		return http.StatusOK
	}
	return http.StatusUnauthorized
}

// tokens are many genuine tokens of one size, in one piece of memory that costs the garbage collector nothing,
// and one of each kind that is refused for its claims.
type tokens struct {
	all               []byte
	expired, wrongPay []byte
}

// mintTokens makes n genuine tokens, each for another device, and those that are refused.
func mintTokens(n int) (tokens, error) {
	t := tokens{all: make([]byte, 0, n*tokenSize)}
	expires, pay := time.Now().Add(lifetime).Unix(), token.Pay([]byte(bearer))
	for i := range n {
		compact, err := mintToken(i, expires, pay)
		if err != nil {
			return tokens{}, err
		}
		t.all = append(t.all, compact...)
	}
	var errExpired, errForeign error
	t.expired, errExpired = mintToken(n, time.Now().Add(-time.Hour).Unix(), pay)
	t.wrongPay, errForeign = mintToken(n, expires, token.Pay([]byte(bearer+"5")))
	return t, errors.Join(errExpired, errForeign)
}

// mintToken makes a token of tokenSize for a device.
func mintToken(device int, expires int64, pay string) ([]byte, error) {
	id := sha256.Sum256(binary.BigEndian.AppendUint64(nil, uint64(device)))
	compact, err := mint.Sign("HS256", "", []byte(secret), map[string]any{
		"anno": []string{"jailbroken"}, "arc": "IXPSB7TRK26LXE3M", "did": base64.StdEncoding.EncodeToString(id[:16]),
		"exp": expires, "ip": "203.0.113.77", "pay": pay,
	})
	if err == nil && len(compact) != tokenSize {
		err = fmt.Errorf("a minted token has %d bytes, want %d", len(compact), tokenSize)
	}
	return []byte(compact), err
}

// at is the token number i, counted around.
func (t tokens) at(i int64) []byte {
	n := int64(len(t.all) / tokenSize)
	start := int(i%n) * tokenSize
	return t.all[start : start+tokenSize]
}

// request is one connection's request, in which the token is replaced in place.
type request struct {
	text []byte
	name []byte // of the token's field
	slot []byte // the token's part of text
}

const (
	tokenField = "Approov-Token"
	otherField = "Another-Token" // of the same length
)

func newRequest() request {
	text := []byte(headBefore + tokenField + ": " + strings.Repeat("x", tokenSize) + headAfter)
	slot := len(headBefore) + len(tokenField) + len(": ")
	return request{text, text[len(headBefore) : len(headBefore)+len(tokenField)], text[slot : slot+tokenSize]}
}

// carry puts a token into the request: the genuine one number i, spoilt if the signature is to be bad, or the
// one that is refused. No token is the genuine one under another name, so that all requests have one size.
func (r request) carry(t tokens, i int64, what cargo) {
	copy(r.name, tokenField)
	switch what {
	case expired:
		copy(r.slot, t.expired)
		return
	case wrongPay:
		copy(r.slot, t.wrongPay)
		return
	}
	copy(r.slot, t.at(i))
	switch what {
	case badSign:
		// The last character has bits that mean nothing (RFC 4648 §3.5), so it is the one before.
		if c := &r.slot[tokenSize-2]; *c == 'A' {
			*c = 'B'
		} else {
			*c = 'A'
		}
	case noToken:
		copy(r.name, otherField)
	}
}
