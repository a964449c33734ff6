package jose

import "testing"

// roca is the reason for the two entries with a modulus made by the faulty Infineon library (CVE-2017-15361).
const roca = "ROCA moduli are not recognised: key sets come from the operator's own attestation server, which makes EC or fresh RSA keys"

// TestWycheproofWebKey takes the key sets of Wycheproof's web_key file: an invalid one must be refused when it is
// loaded, or open nothing.
func TestWycheproofWebKey(t *testing.T) {
	refusedValid := map[int]string{
		14: "HS384 is not supported",
		15: "HS512 is not supported",
	}
	acceptedInvalid := map[int]string{7: roca}
	refusedAtLoad := map[int]string{
		1:  "a shared secret and a public key in one set",
		4:  "two keys with one kid",
		8:  "an RSA key of 1024 bits",
		9:  "an RSA key with exponent 1",
		10: "a secret of 31 bytes",
		16: "an empty secret",
		19: "ES521 on P-256",
		22: "a point that is not on the curve",
		23: "ES256 on P-384",
		24: "an EC key that calls itself RSA",
		25: "an AES-GCM key used to sign",
		26: "an AES key-wrap key used to sign",
	}
	var n tally
	for _, g := range readGroups(t, "json_web_key_test.json") {
		for _, c := range g.Tests {
			n.add(c.Result)
			checkKeySet(t, g, c, c.Result == "valid" && refusedValid[c.TcID] == "" || acceptedInvalid[c.TcID] != "")
			_, _, loading := openWith(g.set(), c.token())
			if why := refusedAtLoad[c.TcID]; why != "" && loading == nil {
				t.Errorf("%d %s (%s): got the set loaded, want it refused", c.TcID, c.Comment, why)
			}
		}
	}
	if want := (tally{5, 21}); n != want {
		t.Errorf("entries: got %+v, want %+v", n, want)
	}
}

// TestWycheproofWebCrypto takes Wycheproof's web_crypto file. Its JWE are all for algorithms that are not
// supported.
func TestWycheproofWebCrypto(t *testing.T) {
	acceptedInvalid := map[int]string{46: roca}
	seen := map[string]int{}
	for _, g := range readGroups(t, "json_web_crypto_test.json") {
		alg := g.member(t, "alg")
		for _, c := range g.Tests {
			seen[alg]++
			checkKeySet(t, g, c, c.Result == "valid" && c.JWE == "" || acceptedInvalid[c.TcID] != "")
		}
	}
	for alg, want := range map[string]int{HS256: 17, ES256: 15, RS256: 14, "": 3, "A256KW": 17, "ECDH-ES+A128KW": 17} {
		if seen[alg] != want {
			t.Errorf("entries for %q: got %d, want %d", alg, seen[alg], want)
		}
	}
}

// checkKeySet asserts whether c is opened with the keys of g, a refusal to load them counting as not opened.
func checkKeySet(t *testing.T, g vectorGroup, c vectorCase, want bool) {
	t.Helper()
	_, fault, loading := openWith(g.set(), c.token())
	if got := loading == nil && fault == ""; got != want {
		t.Errorf("%d %s %s: got opened %v (%q, %v), want %v", c.TcID, g.Comment, c.Comment, got, fault, loading, want)
	}
}
