package main

import (
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base32"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// keys are the test keys of testdata/keys.
type keys struct {
	account, next, retired, foreign, newline, manual []byte // HS256 secrets, decoded

	rsa, foreignRSA *rsa.PrivateKey
	ec, foreignEC   *ecdsa.PrivateKey
	rsaPEM, ecPEM   string // public halves of rsa and ec

	names *strings.Replacer // of the policies' notation
}

func readKeys(dir string) (keys, error) {
	r := &reader{dir: dir}
	k := keys{
		account: r.secret("account"), next: r.secret("next"), retired: r.secret("retired"),
		foreign: r.secret("foreign"), newline: r.secret("newline"), manual: r.secret("manual-example"),
		rsaPEM: r.text("rsa-account.public.pem"), ecPEM: r.text("p256-account.public.pem"),
	}
	k.rsa, _ = r.private("rsa-account.private.pem").(*rsa.PrivateKey)
	k.foreignRSA, _ = r.private("rsa-foreign.private.pem").(*rsa.PrivateKey)
	k.ec, _ = r.private("p256-account.private.pem").(*ecdsa.PrivateKey)
	k.foreignEC, _ = r.private("p256-foreign.private.pem").(*ecdsa.PrivateKey)
	if r.err != nil {
		return keys{}, r.err
	}
	if k.rsa == nil || k.foreignRSA == nil || k.ec == nil || k.foreignEC == nil {
		return keys{}, errors.New("test keys: a private key is of the wrong type")
	}
	std := base64.StdEncoding
	hs256 := func(name string, secret []byte) string {
		return fmt.Sprintf(`{"name": %q, "alg": "HS256", "secret": "inline:%s"}`, name, std.EncodeToString(secret))
	}
	k.names = strings.NewReplacer(
		"$account-jwe", strings.TrimSuffix(hs256("account", k.account), "}")+`, "jwe": true}`,
		"$account", hs256("account", k.account),
		"$next", hs256("next", k.next),
		"$retired", hs256("retired", k.retired),
		"$newline", hs256("newline", k.newline),
		"$manual", hs256("manual", k.manual),
		"$b64-account", std.EncodeToString(k.account),
		"$b64-next", std.EncodeToString(k.next),
		"$b64-retired", std.EncodeToString(k.retired),
		"$b64url-account", base64.RawURLEncoding.EncodeToString(k.account),
		"$b32-account", base32.StdEncoding.EncodeToString(k.account),
		"$rs256", fmt.Sprintf(`{"name": "rsa", "alg": "RS256", "public_key": %s}`, inline(k.rsaPEM)),
		"$ps256", fmt.Sprintf(`{"name": "pss", "alg": "PS256", "public_key": %s}`, inline(k.rsaPEM)),
		"$es256", fmt.Sprintf(`{"name": "ec", "alg": "ES256", "public_key": %s}`, inline(k.ecPEM)),
		"$rsa-pem", inline(k.rsaPEM),
		"$ec-pem", inline(k.ecPEM),
		"$jwks", inline(r.text("keyset.jwks.json")),
	)
	return k, r.err
}

// expand replaces the $names in a policy.
func (k keys) expand(policy string) string {
	if k.names == nil {
		return policy
	}
	return k.names.Replace(policy)
}

// inline is a reference that holds the key itself, as a JSON string.
func inline(text string) string {
	quoted, err := json.Marshal("inline:" + text)
	if err != nil {
		return err.Error()
	}
	return string(quoted)
}

// reader reads key files and keeps the first error.
type reader struct {
	dir string
	err error
}

func (r *reader) text(name string) string {
	text, err := os.ReadFile(filepath.Join(r.dir, name))
	if err != nil && r.err == nil {
		r.err = fmt.Errorf("test keys: %w", err)
	}
	return string(text)
}

func (r *reader) secret(name string) []byte {
	secret, err := base64.StdEncoding.DecodeString(strings.TrimSpace(r.text("hs256-" + name + ".base64")))
	if err != nil && r.err == nil {
		r.err = fmt.Errorf("test keys: hs256-%s: %w", name, err)
	}
	return secret
}

func (r *reader) private(name string) any {
	block, _ := pem.Decode([]byte(r.text(name)))
	if block == nil {
		if r.err == nil {
			r.err = fmt.Errorf("test keys: %s holds no PEM block", name)
		}
		return nil
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil && r.err == nil {
		r.err = fmt.Errorf("test keys: %s: %w", name, err)
	}
	return key
}
