package main

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
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
		"X-Request-Id: 0123456789abcdef\r\nAuthorization: " + bearer + "\r\nApproov-Token: "
	headAfter = "\r\n\r\n"
)

// tokens are many genuine tokens of one size, in one piece of memory that costs the garbage collector nothing.
type tokens struct{ all []byte }

// mintTokens makes n tokens, each for another device.
func mintTokens(n int) (tokens, error) {
	t := tokens{make([]byte, 0, n*tokenSize)}
	expires := time.Now().Add(lifetime).Unix()
	pay := token.Pay([]byte(bearer))
	for i := range n {
		device := sha256.Sum256(binary.BigEndian.AppendUint64(nil, uint64(i)))
		compact, err := mint.Sign("HS256", "", []byte(secret), map[string]any{
			"anno": []string{"jailbroken"}, "arc": "IXPSB7TRK26LXE3M", "did": base64.StdEncoding.EncodeToString(device[:16]),
			"exp": expires, "ip": "203.0.113.77", "pay": pay,
		})
		if err != nil {
			return tokens{}, err
		}
		if len(compact) != tokenSize {
			return tokens{}, fmt.Errorf("a minted token has %d bytes, want %d", len(compact), tokenSize)
		}
		t.all = append(t.all, compact...)
	}
	return t, nil
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
	slot []byte // the token's part of text
}

func newRequest() request {
	text := []byte(headBefore + strings.Repeat("x", tokenSize) + headAfter)
	return request{text, text[len(headBefore) : len(headBefore)+tokenSize]}
}

// carry puts a token into the request, as it is or with a character of its signature changed. The last
// character has bits that mean nothing (RFC 4648 §3.5), so it is the one before.
func (r request) carry(compact []byte, spoilt bool) {
	copy(r.slot, compact)
	if !spoilt {
		return
	}
	c := &r.slot[tokenSize-2]
	if *c == 'A' {
		*c = 'B'
	} else {
		*c = 'A'
	}
}
