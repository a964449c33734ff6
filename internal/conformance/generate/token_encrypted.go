package main

import (
	"strconv"
	"strings"
)

const (
	jweOnly = `{"keys": [$account-jwe], "format": "jwe"}`
	anyForm = `{"keys": [$account-jwe], "format": "any"}`
)

// encrypted are the cases about JWE (RFC 7516; RFC 7518 §4.7, §5.3) and about telling it from JWS.
func encrypted(g *corpus) {
	token := g.jwe(jweHeader, genuine, nil)
	g.add("token/jwe-genuine", "genuine JWE is accepted", "R91, T3", jweOnly, get(token), pass().key("account"))
	g.add("token/jwe-any", "genuine JWE is accepted where both forms are", "R91, T3", anyForm, get(token), pass().key("account"))
	g.add("token/jws-any", "genuine JWS is accepted where both forms are", "R90, T3", anyForm, get(g.hs(genuine)), pass().key("account"))
	g.add("token/jwe-where-jws", "JWE is denied where the route accepts only JWS", "T3", `{"keys": [$account-jwe]}`, get(token), deny("algorithm_refused"))
	g.add("token/jws-where-jwe", "JWS is denied where the route accepts only JWE", "T3", jweOnly, get(g.hs(genuine)), deny("algorithm_refused"))
	g.add("token/jwe-no-jwe-key", "JWE is denied where no key is for JWE", "T3", strict, get(token), deny("algorithm_refused"))
	g.add("token/jwe-expired", "expired JWE is denied", "T21, R91", jweOnly, get(g.jwe(jweHeader, expired, nil)), deny("token_expired"))
	g.add("token/jwe-typ", "JWE with a typ is accepted", "R91", jweOnly, get(g.jwe(strings.Replace(jweHeader, "{", `{"typ":"JWT",`, 1), genuine, nil)), pass())
	g.add("token/jwe-control", "encrypted control document is denied", "T59, T3", jweOnly,
		get(g.jwe(strings.Replace(jweHeader, "{", `{"typ":"approov-control+jwt",`, 1), genuine, nil)), deny("algorithm_refused"))

	g.add("token/jwe-of-jws", "JWE whose plaintext is a JWS is denied", "T3", anyForm, get(g.jwe(strings.Replace(jweHeader, "{", `{"cty":"JWT",`, 1), g.hs(genuine), nil)), deny("claim_invalid"))
	g.add("token/jwe-of-jwe", "JWE whose plaintext is a JWE is denied", "T3", anyForm, get(g.jwe(jweHeader, token, nil)), deny("claim_invalid"))
	g.add("token/jws-of-jws", "JWS whose payload is a JWS is denied", "T3", anyForm, get(g.hs(g.hs(genuine))), deny("claim_invalid"))
	g.add("token/five-parts-hs256", "five parts under an HS256 header are denied", "T3", anyForm, get(withPart(token, 0, b64(hs256Header))), deny("algorithm_refused"))
	g.add("token/three-parts-a256gcmkw", "three parts under a JWE header are denied", "T3", anyForm,
		get(g.headed(`{"alg":"A256GCMKW","enc":"A256GCM","iv":"AAAAAAAAAAAAAAAA","tag":"AAAAAAAAAAAAAAAAAAAAAA"}`)), deny("algorithm_refused"))
	g.add("token/jwe-json-serialisation", "JWE in its JSON serialisation is denied", "T3", anyForm,
		get(`{"protected":"`+part(token, 0)+`","encrypted_key":"`+part(token, 1)+`","iv":"`+part(token, 2)+`","ciphertext":"`+part(token, 3)+`","tag":"`+part(token, 4)+`"}`), deny("token_malformed"))

	jweAlgorithms(g)
	jweSizes(g, token)
	jweTampering(g, token)
}

// jweAlgorithms are refused by their name, before any cryptography.
func jweAlgorithms(g *corpus) {
	for _, alg := range []string{"A256KW", "A128KW", "dir", "A128GCMKW", "A192GCMKW", "PBES2-HS256+A128KW", "RSA-OAEP", "RSA1_5", "ECDH-ES", "none"} {
		g.add("token/jwe-alg-"+strings.ToLower(strings.ReplaceAll(alg, "+", "-")), "JWE with alg "+alg+" is denied", "T4", jweOnly,
			get(g.jwe(strings.Replace(jweHeader, "A256GCMKW", alg, 1), genuine, nil)), deny("algorithm_refused"))
	}
	for _, enc := range []string{"A128GCM", "A192GCM", "A256CBC-HS512", "A128CBC-HS256", "a256gcm"} {
		file := strings.ToLower(enc)
		if file == enc {
			file += "-lower-case"
		}
		g.add("token/jwe-enc-"+file, "JWE with enc "+enc+" is denied", "T4", jweOnly,
			get(g.jwe(strings.Replace(jweHeader, `"A256GCM"`, `"`+enc+`"`, 1), genuine, nil)), deny("algorithm_refused"))
	}
	g.add("token/jwe-enc-missing", "JWE without enc is denied", "T4", jweOnly, get(g.jwe(`{"alg":"A256GCMKW","iv":"{iv}","tag":"{tag}"}`, genuine, nil)), deny("algorithm_refused"))
	// A stored block of DEFLATE (RFC 1951 §3.2.4) holds the claims as they are.
	length := byte(len(genuine))
	deflated := string([]byte{1, length, 0, ^length, 0xff}) + genuine
	g.add("token/jwe-zip", "compressed JWE is denied", "T6", jweOnly, get(g.jwe(strings.Replace(jweHeader, "{", `{"zip":"DEF",`, 1), deflated, nil)), deny("algorithm_refused"))
	g.add("token/jwe-zip-unknown", "JWE with an unknown zip is denied", "T6", jweOnly, get(g.jwe(strings.Replace(jweHeader, "{", `{"zip":"x",`, 1), genuine, nil)), deny("algorithm_refused"))
	g.add("token/jwe-crit", "JWE with crit is denied", "T9", jweOnly, get(g.jwe(strings.Replace(jweHeader, "{", `{"crit":["exp"],"exp":1,`, 1), genuine, nil)), deny("algorithm_refused"))
	g.add("token/jwe-p2c", "JWE that asks for two thousand million hash rounds is denied", "T7", jweOnly,
		get(g.jwe(`{"alg":"PBES2-HS256+A128KW","enc":"A256GCM","p2c":2147483647,"p2s":"AAAAAAAAAAAAAAAA"}`, genuine, nil)), deny("algorithm_refused"))
	g.add("token/jwe-epk", "JWE with an ephemeral key is denied", "T4", jweOnly,
		get(g.jwe(`{"alg":"ECDH-ES+A256KW","enc":"A256GCM","epk":{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}}`, genuine, nil)), deny("algorithm_refused"))
}

// jweSizes are vectors, tags and keys of other lengths than A256GCM's; Go's AES-GCM panics on some.
func jweSizes(g *corpus, token string) {
	malformed := func(file, name, value string) {
		g.add("token/jwe-"+file, "JWE with "+name+" is denied", "T5", jweOnly, get(value), deny("token_malformed"))
	}
	segment := func(size int) string { return b64(strings.Repeat("\x00", size)) }
	for _, size := range []int{0, 5, 11, 13, 16, 32} {
		bytes := strconv.Itoa(size)
		malformed("wrap-iv-"+bytes, "a key wrap iv of "+bytes+" bytes", g.jwe(strings.Replace(jweHeader, "{iv}", segment(size), 1), genuine, nil))
		malformed("iv-"+bytes, "an iv of "+bytes+" bytes", withPart(token, 2, segment(size)))
	}
	for _, size := range []int{0, 12, 15, 17} {
		bytes := strconv.Itoa(size)
		malformed("wrap-tag-"+bytes, "a key wrap tag of "+bytes+" bytes", g.jwe(strings.Replace(jweHeader, "{tag}", segment(size), 1), genuine, nil))
		malformed("tag-"+bytes, "a tag of "+bytes+" bytes", withPart(token, 4, segment(size)))
	}
	for _, size := range []int{0, 31, 33} {
		bytes := strconv.Itoa(size)
		malformed("encrypted-key-"+bytes, "an encrypted key of "+bytes+" bytes", withPart(token, 1, segment(size)))
	}
	for _, size := range []int{16, 24} {
		bytes := strconv.Itoa(size)
		malformed("cek-"+bytes, "a genuine wrapped key of "+bytes+" bytes", g.jwe(jweHeader, genuine, []byte(strings.Repeat("k", size))))
	}
	malformed("wrap-iv-missing", "no key wrap iv", g.jwe(`{"alg":"A256GCMKW","enc":"A256GCM","tag":"{tag}"}`, genuine, nil))
	malformed("wrap-tag-missing", "no key wrap tag", g.jwe(`{"alg":"A256GCMKW","enc":"A256GCM","iv":"{iv}"}`, genuine, nil))
	malformed("wrap-iv-number", "a key wrap iv that is a number", g.jwe(strings.Replace(jweHeader, `"{iv}"`, "12", 1), genuine, nil))
	malformed("wrap-tag-number", "a key wrap tag that is a number", g.jwe(strings.Replace(jweHeader, `"{tag}"`, "16", 1), genuine, nil))
	malformed("wrap-iv-padded", "a key wrap iv that is not base64url", g.jwe(strings.Replace(jweHeader, `{iv}`, "AAAAAAAAAAAAAA==", 1), genuine, nil))
	malformed("iv-and-tag-swapped", "iv and tag swapped", withPart(withPart(token, 2, part(token, 4)), 4, part(token, 2)))
	malformed("content-not-base64", "a ciphertext that is not base64url", withPart(token, 3, "***"))
}

// jweTampering are tokens of the right shape that do not open.
func jweTampering(g *corpus, token string) {
	failed := func(file, name, value string) {
		g.add("token/jwe-"+file, name+" is denied", "T5, T11", jweOnly, get(value), deny("decryption_failed"))
	}
	failed("changed-key", "JWE with a changed encrypted key", withPart(token, 1, flip(part(token, 1))))
	failed("changed-iv", "JWE with a changed iv", withPart(token, 2, flip(part(token, 2))))
	failed("changed-content", "JWE with a changed ciphertext", withPart(token, 3, flip(part(token, 3))))
	failed("changed-tag", "JWE with a changed tag", withPart(token, 4, flip(part(token, 4))))
	failed("empty-content", "JWE with its ciphertext removed", withPart(token, 3, ""))
	header := g.jwe(strings.Replace(jweHeader, "}", `,"x":1}`, 1), genuine, nil)
	failed("parts-of-two", "JWE put together from two genuine ones", withPart(header, 0, part(token, 0)))
	foreign, err := minter("foreign", genuine).EncryptRaw(g.keys.foreign, nil, jweHeader, genuine)
	if err != nil {
		g.fail("mint: %w", err)
	}
	failed("foreign", "JWE of another account", foreign)
	failed("foreign-key", "JWE with the encrypted key of another account's", withPart(token, 1, part(foreign, 1)))
	g.add("token/jwe-empty-plaintext", "JWE of an empty text is denied", "T5", jweOnly, get(g.jwe(jweHeader, "", nil)), deny("claim_invalid"))
}
