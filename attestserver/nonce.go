package attestserver

import (
	"context"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"sync/atomic"
	"time"

	"github.com/approovgate/approovgate/attestserver/store"
)

// How long nonces live. The one that comes with tokens is for the attestation that replaces them.
const (
	nonceTTL     = time.Minute
	nextNonceTTL = 6 * time.Minute
)

// A nonce is expiry ‖ random ‖ seal, in base64url.
const (
	expirySize = 8 // Unix seconds, big-endian
	randomSize = 16
	sealSize   = 16 // of an HMAC-SHA256
	nonceSize  = expirySize + randomSize + sealSize
	nonceText  = (nonceSize*8 + 5) / 6
)

// sealer makes an account's nonces and recognises them, so that issuing one costs no memory. Their key changes with
// every UTC day; yesterday's is still recognised.
type sealer struct {
	key     []byte
	account string
	days    atomic.Pointer[dayKeys] // derived when first needed on a day
}

type dayKeys struct {
	day              int64
	today, yesterday []byte
}

func newSealer(key []byte, account string) *sealer { return &sealer{key: key, account: account} }

// derive is HKDF-SHA256 (RFC 5869) for a purpose.
func derive(key []byte, purpose string, size int) []byte {
	derived, err := hkdf.Key(sha256.New, key, nil, purpose, size)
	if err != nil {
		panic("attestserver: " + err.Error()) // only for a longer key
	}
	return derived
}

func (s *sealer) keys(now time.Time) *dayKeys {
	day := now.Unix() / 86400
	if known := s.days.Load(); known != nil && known.day == day {
		return known
	}
	of := func(day int64) []byte {
		return derive(s.key, "attest/v1 nonce "+time.Unix(day*86400, 0).UTC().Format(time.DateOnly), sha256.Size)
	}
	fresh := &dayKeys{day, of(day), of(day - 1)}
	s.days.Store(fresh)
	return fresh
}

// seal makes the nonce with the given random part, for one attestation of a device within ttl.
func (s *sealer) seal(random [randomSize]byte, device string, now time.Time, ttl time.Duration) string {
	var nonce [nonceSize]byte
	binary.BigEndian.PutUint64(nonce[:], uint64(now.Add(ttl).Unix()))
	copy(nonce[expirySize:], random[:])
	copy(nonce[expirySize+randomSize:], s.mac(s.keys(now).today, nonce[:], device))
	return base64.RawURLEncoding.EncodeToString(nonce[:])
}

// open recognises a nonce that seal has made for the device and that has not expired. Whether it was used is the
// store's to say, which sees no other nonces than these.
func (s *sealer) open(text, device string, now time.Time) (n store.Nonce, ok bool) {
	raw, ok := s.own(text, device, now)
	if !ok {
		return n, false
	}
	until := time.Unix(int64(binary.BigEndian.Uint64(raw)), 0)
	if !now.Before(until) || until.After(now.Add(nextNonceTTL+time.Minute)) {
		return n, false
	}
	return store.Nonce{ID: [randomSize]byte(raw[expirySize:]), Until: until}, true
}

// expired reports whether a nonce is one that seal has made for the device today or yesterday, and that has expired.
func (s *sealer) expired(text, device string, now time.Time) bool {
	raw, ok := s.own(text, device, now)
	return ok && !now.Before(time.Unix(int64(binary.BigEndian.Uint64(raw)), 0))
}

// own recognises a nonce that seal has made for the device today or yesterday, and returns its bytes.
func (s *sealer) own(text, device string, now time.Time) (raw []byte, ok bool) {
	if len(text) != nonceText {
		return nil, false
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(raw) != nonceSize {
		return nil, false
	}
	keys, given := s.keys(now), raw[expirySize+randomSize:]
	today := hmac.Equal(given, s.mac(keys.today, raw, device))
	yesterday := hmac.Equal(given, s.mac(keys.yesterday, raw, device))
	return raw, today || yesterday
}

// mac seals the first part of a nonce to the account and a device. The account's name ends with a zero byte, which
// no name has, so that no part can stand for another's.
func (s *sealer) mac(key, nonce []byte, device string) []byte {
	m := hmac.New(sha256.New, key)
	m.Write(nonce[:expirySize+randomSize])
	m.Write([]byte(s.account + "\x00" + device))
	return m.Sum(nil)[:sealSize]
}

const consumeTime = 3 * time.Second // that the store may take for one nonce, which it writes together with others

// use consumes a nonce, and reports whether it was fresh.
func (s *Server) use(ctx context.Context, n store.Nonce) (fresh bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, consumeTime)
	defer cancel()
	all, err := s.o.Store.Consume(ctx, []store.Nonce{n})
	if err == nil && len(all) != 1 {
		err = errors.New("the store has not answered for the nonce")
	}
	return err == nil && all[0], err
}
