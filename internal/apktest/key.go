package apktest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"math/big"
	"time"
)

// The algorithms of signatures of schemes v2 and v3.
const (
	PSS256   = 0x0101
	PSS512   = 0x0102
	RSA256   = 0x0103
	RSA512   = 0x0104
	ECDSA256 = 0x0201
	ECDSA512 = 0x0202
)

// Key signs packages.
type Key struct {
	Certificate []byte // DER
	Algorithm   uint32
	signer      crypto.Signer
}

// NewKey makes a key for an algorithm, and a certificate that it signs itself.
func NewKey(commonName string, algorithm uint32) *Key {
	k := &Key{Algorithm: algorithm}
	switch algorithm {
	case ECDSA256:
		k.signer = must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	case ECDSA512:
		k.signer = must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader))
	default:
		k.signer = must(rsa.GenerateKey(rand.Reader, 2048))
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: commonName, Organization: []string{"Android"}, Country: []string{"US"}},
		NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<32, 0)}
	k.Certificate = must(x509.CreateCertificate(rand.Reader, template, template, k.signer.Public(), k.signer))
	return k
}

// SHA256 is the certificate's digest in hexadecimal.
func (k *Key) SHA256() string {
	sum := sha256.Sum256(k.Certificate)
	return hex.EncodeToString(sum[:])
}

// hash is the digest of an algorithm, of contents and in signatures.
func (k *Key) hash() crypto.Hash {
	switch k.Algorithm {
	case PSS512, RSA512, ECDSA512:
		return crypto.SHA512
	}
	return crypto.SHA256
}

func (k *Key) digest(data []byte) []byte {
	if k.hash() == crypto.SHA512 {
		sum := sha512.Sum512(data)
		return sum[:]
	}
	sum := sha256.Sum256(data)
	return sum[:]
}

func (k *Key) sign(data []byte) []byte {
	var options crypto.SignerOpts = k.hash()
	if k.Algorithm == PSS256 || k.Algorithm == PSS512 {
		options = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: k.hash()}
	}
	return must(k.signer.Sign(rand.Reader, k.digest(data), options))
}
