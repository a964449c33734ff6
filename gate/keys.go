package gate

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"time"

	"github.com/approovgate/approovgate/config"
	"github.com/approovgate/approovgate/jose"
	"github.com/approovgate/approovgate/source"
)

// resolved are the keys of a policy, read.
type resolved struct {
	keys   []jose.Key
	status []KeyStatus
	ids    []string // tell the same key from another of its name; parallel to status
	sum    []byte   // of all texts read, to notice changes
}

// resolveKeys reads every key a policy names. All problems are found, and none quotes what was read.
func resolveKeys(keys []config.Key, read func(string) ([]byte, []string, error)) (resolved, []config.Problem) {
	var all resolved
	var problems []config.Problem
	sum := sha256.New()
	for i, k := range keys {
		field, reference := "secret", k.Secret
		if k.PublicKey != "" {
			field, reference = "public_key", k.PublicKey
		}
		if k.JWKS != "" {
			field, reference = "jwks", k.JWKS
		}
		path := fmt.Sprintf("keys[%d].%s", i, field)
		text, warnings, err := read(reference)
		for _, warning := range warnings {
			if k.PublicKey != "" {
				break // what may be read by others is public anyway
			}
			problems = append(problems, config.Problem{Path: path, Text: warning, Warning: true})
		}
		var parsed []jose.Key
		if err == nil {
			parsed, err = parseKey(k, text)
		}
		if err != nil {
			problems = append(problems, config.Problem{Path: path, Text: err.Error()})
			continue
		}
		digest := sha256.Sum256(text)
		sum.Write(digest[:])
		for _, key := range parsed {
			key = key.Window(k.NotBefore, k.NotAfter)
			all.keys = append(all.keys, key)
			all.ids = append(all.ids, k.Name+"\x00"+string(digest[:]))
			all.status = append(all.status, KeyStatus{Name: k.Name, NotBefore: k.NotBefore, NotAfter: k.NotAfter, key: key})
		}
	}
	all.sum = sum.Sum(nil)
	return all, problems
}

// date notes since when each key is in force: those that were before stay what they were.
func (r *resolved) date(before map[string]time.Time, now time.Time) map[string]time.Time {
	since := map[string]time.Time{}
	for i, id := range r.ids {
		loaded, known := before[id]
		if !known {
			loaded = now
		}
		since[id] = loaded
		r.status[i].Loaded = loaded
	}
	return since
}

// parseKey turns the text of one entry into keys: one, or those of a set.
func parseKey(k config.Key, text []byte) ([]jose.Key, error) {
	switch {
	case k.JWKS != "":
		// Shared secrets do not belong into what is fetched or written into a policy.
		return jose.ParseJWKS(k.Name, text, k.Algs, strings.HasPrefix(k.JWKS, "file:"))
	case k.PublicKey != "":
		key, err := jose.NewPublic(k.Name, k.Alg, k.Kid, text)
		return []jose.Key{key}, err
	}
	secret, err := source.DecodeSecret(text, k.Encoding)
	if err != nil {
		return nil, err
	}
	key, err := jose.NewHS256(k.Name, k.Kid, secret, k.JWE)
	return []jose.Key{key}, err
}
