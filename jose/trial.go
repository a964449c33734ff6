package jose

import (
	"crypto/subtle"
	"hash"
	"math"
	"sync"
)

// Trial tells forged tokens that have one expected header from others, for interpreted callers: to them it costs a
// fifth of what Ring.Open does, because nearly all of it is calls of compiled code. It never says that a token is
// genuine.
type Trial struct {
	macs []*sync.Pool // of hash.Hash, one for each key to try
}

// Trials are the trials of the ring's expected headers, by the header's segment, which hold from nowUnix until another
// Unix second: from then on other keys may be in use. There is none for a header that Open would refuse, or find no
// key for.
func (r *Ring) Trials(nowUnix int64, accept Accept) (all map[string]*Trial, until int64) {
	all = map[string]*Trial{}
	for segment, h := range r.known {
		if h.fault != "" || h.enc != "" || !accept.JWS || !h.typed(accept.Typ) {
			continue
		}
		found, n, fault := r.candidates(h, nowUnix, false)
		if fault != "" {
			continue
		}
		t := &Trial{}
		for _, i := range found[:n] {
			t.macs = append(t.macs, r.keys[i].macs)
		}
		all[segment] = t
	}
	return all, r.steady(nowUnix)
}

// steady is the Unix second up to which the same keys are in use as at nowUnix.
func (r *Ring) steady(nowUnix int64) int64 {
	until := int64(math.MaxInt64)
	for i := range r.keys {
		k := &r.keys[i]
		if k.notBefore > nowUnix && k.notBefore < until {
			until = k.notBefore
		}
		if k.notAfter > nowUnix && k.notAfter < until {
			until = k.notAfter
		}
	}
	return until
}

// Forged reports whether no key has made this signature of what is signed, the text before its dot, which begins with
// the trial's header. Open then finds SignatureInvalid.
func Forged(t *Trial, signed, signature string) bool {
	for _, pool := range t.macs {
		mac := pool.Get().(hash.Hash)
		mac.Reset()
		mac.Write([]byte(signed))
		right := base64url.EncodeToString(mac.Sum(nil))
		pool.Put(mac)
		if subtle.ConstantTimeCompare([]byte(right), []byte(signature)) == 1 {
			return false
		}
	}
	return true
}
