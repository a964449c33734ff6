package gate

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/approovgate/approovgate/config"
	"github.com/approovgate/approovgate/jose"
	"github.com/approovgate/approovgate/source"
)

// entry is one of the policy's keys, read: one key, or those of a set or ring.
type entry struct {
	keys   []jose.Key
	status []KeyStatus // parallel to keys
	ids    []string    // parallel to keys: tell the same key from another of its name
	digest string      // tells whether anything has changed
}

// entries are the policy's keys in its order.
type entries []entry

// with is a copy in which one entry is replaced.
func (e entries) with(i int, other entry) entries {
	changed := append(entries(nil), e...)
	changed[i] = other
	return changed
}

func (e entries) keys() []jose.Key {
	var all []jose.Key
	for _, one := range e {
		all = append(all, one.keys...)
	}
	return all
}

// sum tells whether any of what was read has changed.
func (e entries) sum() string {
	sum := ""
	for _, one := range e {
		sum += one.digest + "/"
	}
	return sum
}

// date notes since when each key is in force: those that were before stay what they were. It returns what
// the next call needs to know.
func (e entries) date(before map[string]time.Time, now time.Time) (since map[string]time.Time, status []KeyStatus) {
	since = map[string]time.Time{}
	for i := range e {
		for j, key := range e[i].status {
			id := e[i].ids[j]
			loaded, known := before[id]
			if !known {
				loaded = now
			}
			since[id] = loaded
			key.Loaded = loaded
			status = append(status, key)
		}
	}
	return since, status
}

// readKeys reads every key a policy names, but those behind URLs. All problems are found, and none quotes what
// was read.
func readKeys(keys []config.Key, read func(string) ([]byte, []string, error)) (entries, []config.Problem) {
	all := make(entries, len(keys))
	var problems []config.Problem
	for i, k := range keys {
		if k.Remote() != "" {
			continue
		}
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
		if err == nil {
			all[i], err = readEntry(k, text)
		}
		if err != nil {
			problems = append(problems, config.Problem{Path: path, Text: err.Error()})
		}
	}
	return all, problems
}

// readEntry turns the text of a key that is not a ring into an entry.
func readEntry(k config.Key, text []byte) (entry, error) {
	keys, err := parseKey(k, text)
	if err != nil {
		return entry{}, err
	}
	e := entry{digest: digest(text)}
	for _, key := range keys {
		e.add(key, k.NotBefore, k.NotAfter, e.digest)
	}
	return e, nil
}

// readRing turns the keys of a ring into an entry: the same one for the same keys, signed again or not.
func readRing(k config.Key, ring config.Ring) (entry, error) {
	e := entry{digest: digest([]byte(fmt.Sprintf("%#v", ring.Keys)))}
	for i, member := range ring.Keys {
		reference := member.Secret + member.PublicKey
		plain := []byte(strings.TrimPrefix(reference, "inline:"))
		keys, err := parseKey(member, plain)
		if err != nil {
			return entry{}, errors.New(fmt.Sprintf("keys[%d]: ", i) + err.Error())
		}
		notBefore, notAfter := later(k.NotBefore, member.NotBefore), earlier(k.NotAfter, member.NotAfter)
		e.add(keys[0].Member(k.Name, k.Name+"/"+member.Name), notBefore, notAfter, digest(plain))
	}
	return e, nil
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// earlier is the earlier of two ends, where zero is none.
func earlier(a, b time.Time) time.Time {
	if b.IsZero() || !a.IsZero() && a.Before(b) {
		return a
	}
	return b
}

func (e *entry) add(key jose.Key, notBefore, notAfter time.Time, sum string) {
	key = key.Window(notBefore, notAfter)
	e.keys = append(e.keys, key)
	e.ids = append(e.ids, key.Name()+"\x00"+sum)
	e.status = append(e.status, KeyStatus{
		Name: key.Name(), Kid: key.Kid(), Alg: key.Alg(), NotBefore: notBefore, NotAfter: notAfter, key: key,
	})
}

// parseKey turns the text of one entry into keys: one, or those of a set.
func parseKey(k config.Key, text []byte) ([]jose.Key, error) {
	switch {
	case k.JWKS != "":
		// Shared secrets do not belong into what is fetched or written into a policy.
		keys, err := jose.ParseJWKS(k.Name, text, k.Algs, strings.HasPrefix(k.JWKS, "file:"))
		for i, key := range keys {
			keys[i] = key.Member(k.Name, k.Name+"/"+label(key.Kid(), i))
		}
		return keys, err
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

const maxLabel = 64 // bytes of a kid in a key's name

// label is what a set's key is called in it: its kid, or else # and its number from 1, which no other key's label
// can be.
func label(kid string, i int) string {
	if kid == "" || len(kid) > maxLabel || kid[0] == '#' || !isFieldValue(kid) {
		return "#" + strconv.Itoa(i+1)
	}
	return kid
}

// controlKeys reads the public keys that remote documents are signed with: P-256, in PEM form. texts changes with
// them.
func controlKeys(c config.ControlSources, read func(string) ([]byte, []string, error)) (ring *jose.Ring, texts string, problems []config.Problem) {
	var keys []jose.Key
	for i, reference := range c.Keys {
		path := fmt.Sprintf("control.keys[%d]", i)
		text, _, err := read(reference)
		if err == nil {
			texts += string(text) + "\x00"
			var key jose.Key
			if key, err = jose.NewPublic(path, jose.ES256, "", text); err == nil {
				keys = append(keys, key)
			}
		}
		if err != nil {
			problems = append(problems, config.Problem{Path: path, Text: err.Error()})
		}
	}
	ring, err := jose.NewRing(keys)
	if err != nil {
		problems = append(problems, config.Problem{Path: "control.keys", Text: err.Error()})
	}
	return ring, texts, problems
}
