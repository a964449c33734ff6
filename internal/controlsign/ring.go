package controlsign

import (
	"crypto/ecdsa"
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/approovgate/approovgate/config"
	"github.com/approovgate/approovgate/jose"
	"github.com/approovgate/approovgate/source"
)

const inline = "inline:"

// Ring signs a key ring, given as config.DecodeRing reads it, but for the version (see Terms) and for secrets
// and public keys, which may be references that read resolves (see source.Read). The envelope is signed, not
// encrypted: whoever reads it has the secrets in it. When one of the problems is more than a warning there is no
// envelope. Problems repeat no secret.
func Ring(key *ecdsa.PrivateKey, tree map[string]any, terms Terms, read func(reference string) ([]byte, []string, error)) (string, []config.Problem) {
	claims, problems := terms.number(tree)
	entries := copyEntries(claims)
	unread := map[int]bool{}
	for i, entry := range entries {
		for _, field := range [...]string{"secret", "public_key"} {
			for _, problem := range resolve(entry, field, read) {
				unread[i] = unread[i] || !problem.Warning
				problem.Path = fmt.Sprintf("keys[%d].%s", i, field)
				problems = append(problems, problem)
			}
		}
	}
	ring, found := config.DecodeRing(claims)
	problems = append(problems, found...)
	if !config.Failed(found) {
		problems = append(problems, usable(ring, entries, unread)...)
	}
	return terms.seal(key, jose.RingType, claims, problems)
}

// copyEntries puts copies of the entries of keys into claims and returns them. What is not a map stays as it is,
// for the decoder to refuse, and is nil among those returned.
func copyEntries(claims map[string]any) []map[string]any {
	list, ok := claims["keys"].([]any)
	if !ok {
		return nil
	}
	entries, copied := make([]map[string]any, len(list)), make([]any, len(list))
	for i, item := range list {
		copied[i] = item
		entry, isMap := item.(map[string]any)
		if !isMap {
			continue
		}
		entries[i] = map[string]any{}
		for name, value := range entry {
			entries[i][name] = value
		}
		copied[i] = entries[i]
	}
	claims["keys"] = copied
	return entries
}

// resolve puts in the place of a reference what it leads to, or something that the decoder has nothing to say of if
// that cannot be read. Other values are the decoder's to judge.
func resolve(entry map[string]any, field string, read func(string) ([]byte, []string, error)) []config.Problem {
	reference, _ := entry[field].(string)
	if !strings.HasPrefix(reference, "file:") && !strings.HasPrefix(reference, "env:") {
		return nil
	}
	text, warnings, err := read(reference)
	if err != nil {
		entry[field] = inline + "unread"
		return []config.Problem{{Text: err.Error()}}
	}
	entry[field] = inline + string(text)
	var problems []config.Problem
	for _, warning := range warnings {
		if field == "secret" { // a public key may be read by anyone
			problems = append(problems, config.Problem{Text: warning, Warning: true})
		}
	}
	return problems
}

// usable reports keys that gates would refuse, but for those that could not be read, and writes secrets in base64,
// which JSON always carries unchanged.
func usable(ring config.Ring, entries []map[string]any, unread map[int]bool) []config.Problem {
	var keys []jose.Key
	var problems []config.Problem
	for i, k := range ring.Keys {
		if unread[i] {
			continue
		}
		field := "secret"
		if k.PublicKey != "" {
			field = "public_key"
		}
		if i >= len(entries) || entries[i] == nil {
			problems = append(problems, config.Problem{Path: fmt.Sprintf("keys[%d]", i), Text: "must be a map with the names of fields as its keys"})
			continue
		}
		key, err := keyOf(k, entries[i])
		if err != nil {
			problems = append(problems, config.Problem{Path: fmt.Sprintf("keys[%d].%s", i, field), Text: err.Error()})
			continue
		}
		keys = append(keys, key)
	}
	if _, err := jose.NewRing(keys); err != nil {
		problems = append(problems, config.Problem{Path: "keys", Text: err.Error()})
	}
	return problems
}

// keyOf is the key that a gate makes of an entry.
func keyOf(k config.Key, entry map[string]any) (jose.Key, error) {
	if k.PublicKey != "" {
		return jose.NewPublic(k.Name, k.Alg, k.Kid, []byte(strings.TrimPrefix(k.PublicKey, inline)))
	}
	secret, err := source.DecodeSecret([]byte(strings.TrimPrefix(k.Secret, inline)), k.Encoding)
	if err != nil {
		return jose.Key{}, err
	}
	entry["secret"], entry["encoding"] = inline+base64.StdEncoding.EncodeToString(secret), "base64"
	return jose.NewHS256(k.Name, k.Kid, secret, k.JWE)
}
