package config

import (
	"net/url"
	"strings"
	"time"
)

const (
	minInterval = time.Second
	maxInterval = time.Hour
	maxRefresh  = 24 * time.Hour
	jwksRefresh = time.Minute // default of keys[].refresh for a key set
)

func decodeControlSources(t *Tree) ControlSources {
	out := ControlSources{
		File:     plainPath(t, "file"),
		URL:      t.Text("url", ""),
		CA:       plainPath(t, "ca"),
		Token:    optionalReference(t, "token"),
		Cache:    plainPath(t, "cache"),
		Seal:     optionalReference(t, "seal"),
		Interval: t.Duration("interval", 5*time.Second, minInterval, maxInterval),
	}
	for i, ref := range t.List("keys") {
		if fix := badReference(ref, false); fix != "" {
			t.Refuse(element("keys", i), fix)
		}
		out.Keys = append(out.Keys, ref)
	}
	if out.URL != "" {
		checkURL(t, "url", out.URL)
		if len(out.Keys) == 0 && !badList(t, "keys") {
			t.Refuse("keys", "is missing; name the public keys that sign the documents at url")
		}
	}
	if out.Seal != "" && out.Cache == "" {
		t.Refuse("seal", "has no effect without cache; set cache or delete it")
	}
	return out
}

// checkRings judges what keys and control say of each other: rings are signed by the keys of control.
func checkRings(t, control *Tree, p *Policy) {
	rings := 0
	for i := range p.Keys {
		k := &p.Keys[i]
		if k.Ring == "" {
			continue
		}
		rings++
		if k.Refresh == 0 {
			k.Refresh = p.Control.Interval
		}
		if len(p.Control.Keys) == 0 {
			t.Refuse(element("keys", i)+".ring", "needs control.keys: name the public keys that sign it")
		}
	}
	if p.Control.URL != "" || rings > 0 {
		return
	}
	for _, field := range [...]string{"keys", "ca", "token"} {
		if control.Has(field) && !empty(control.values[field]) {
			control.Refuse(field, "has no effect without control.url or a ring in keys; delete it")
		}
	}
}

// empty reports whether a value is what a field has when it is not set.
func empty(value any) bool {
	if value == "" {
		return true
	}
	list, ok := listed(value)
	return ok && len(list) == 0
}

// plainPath reads the path of a file or folder.
func plainPath(t *Tree, key string) string {
	path := t.Text(key, "")
	if strings.HasPrefix(path, "file:") || hasControl(path) {
		t.Refuse(key, "must be a plain path, without file: in front")
	}
	return path
}

// optionalReference reads where a secret is found, if it is named.
func optionalReference(t *Tree, key string) string {
	ref := t.Text(key, "")
	if ref == "" {
		return ""
	}
	if fix := badReference(ref, false); fix != "" {
		t.Refuse(key, fix)
	} else if strings.HasPrefix(ref, inline) {
		t.Warn(key, inlineWarning)
	}
	return ref
}

// checkURL refuses what a document cannot be fetched from. User information would be a secret in a place where
// none is looked for.
func checkURL(t *Tree, key, text string) {
	parsed, err := url.Parse(text)
	if err != nil || !strings.HasPrefix(text, "https://") || parsed.Hostname() == "" || parsed.User != nil || hasControl(text) {
		t.Refuse(key, "must be a URL such as https://control.example.com/documents/edge, without a user in it")
	}
}

// Ring is a document of several keys, for rotations of a whole fleet.
type Ring struct {
	Version int64 // rises with every change; a lower one never replaces a higher
	Keys    []Key
}

// DecodeRing makes a ring from a tree with the keys version and keys. An entry of keys is what a policy's keys
// hold (see Key), but refers to nothing: its secret or public_key is given as inline:TEXT. With a problem that
// is more than a warning the ring is empty.
func DecodeRing(tree map[string]any) (Ring, []Problem) {
	t := NewTree(tree)
	r := Ring{Version: t.Int("version", 0, 1, largestWhole), Keys: decodeKeys(t)}
	if !t.Has("version") {
		t.Refuse("version", "is missing; number the documents from 1, each higher than the one before")
	}
	for i, k := range r.Keys {
		text := k.Secret + k.PublicKey
		if text == "" || !strings.HasPrefix(text, inline) {
			t.Refuse(element("keys", i), "must have secret or public_key, written out as inline:TEXT")
		}
	}
	var problems []Problem
	for _, p := range t.Problems() {
		if !p.Warning { // that secrets stand in it is what a ring is for
			problems = append(problems, p)
		}
	}
	if Failed(problems) {
		return Ring{}, problems
	}
	return r, nil
}

// decodeFetch reads ca and refresh of a key whose document is behind a URL.
func decodeFetch(t *Tree, k *Key) {
	k.CA = plainPath(t, "ca")
	k.Refresh = t.Duration("refresh", 0, minInterval, maxRefresh)
	switch {
	case t.Has("ring"):
		checkURL(t, "ring", k.Ring)
		forbid(t, "stands only beside jwks; set control.ca for rings", "ca")
	case k.Remote() == "":
		forbid(t, "stands only beside a URL; delete it", "ca", "refresh")
	default:
		checkURL(t, "jwks", k.JWKS)
		if k.Refresh == 0 {
			k.Refresh = jwksRefresh
		}
	}
}

// checkRing judges an entry that names a ring.
func checkRing(t *Tree) {
	forbid(t, "is each key's own in a ring; delete it", "alg", "algs", "kid", "encoding", "jwe")
}

// keyFields are the fields of a key that say where it comes from.
var keyFields = [...]string{"secret", "public_key", "jwks", "ring"}
