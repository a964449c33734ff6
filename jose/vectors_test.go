package jose

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// vectorDir holds the public corpora, one folder each with its licence: Wycheproof
// (C2SP/wycheproof, dac1dd47) and the RFC 7520 cookbook (ietf-jose/cookbook, 13692b68).
const vectorDir = "../../shared/vectors"

// needVectors skips the test where the corpora have not been laid beside the repository.
func needVectors(t testing.TB) {
	t.Helper()
	if _, err := os.Stat(vectorDir); os.IsNotExist(err) {
		t.Skipf("the public test vectors are not here: no folder %s (seen from jose/)", vectorDir)
	}
}

// readVectors decodes one file of the corpora into what into points to.
func readVectors(t testing.TB, name string, into any) {
	t.Helper()
	needVectors(t)
	text, err := os.ReadFile(filepath.Join(vectorDir, name))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, into); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

// vectorGroup is one key or key set of Wycheproof's JSON Web files and the tokens to be tried with it.
type vectorGroup struct {
	Comment         string
	Private, Public json.RawMessage
	Tests           []vectorCase
}

type vectorCase struct {
	TcID     int
	Comment  string
	Enc      string // of a JWE
	Pt       string // the plaintext of a JWE, in hex
	JWS, JWE compactText
	Result   string // "valid" or "invalid"
}

// compactText is a token. Two cases hold a JSON serialisation instead, which stays the text it is.
type compactText string

func (c *compactText) UnmarshalJSON(raw []byte) error {
	var text string
	if json.Unmarshal(raw, &text) != nil {
		text = string(raw)
	}
	*c = compactText(text)
	return nil
}

// token is the case's compact text, whichever kind it is.
func (c vectorCase) token() string { return string(c.JWS + c.JWE) }

func readGroups(t testing.TB, name string) []vectorGroup {
	t.Helper()
	var file struct {
		NumberOfTests int
		TestGroups    []vectorGroup
	}
	readVectors(t, "wycheproof/"+name, &file)
	n := 0
	for _, g := range file.TestGroups {
		n += len(g.Tests)
	}
	if n != file.NumberOfTests {
		t.Fatalf("%s: got %d cases, want the %d it announces", name, n, file.NumberOfTests)
	}
	return file.TestGroups
}

// set is the group's key, the public half where there is one, as a key set.
func (g vectorGroup) set() []byte {
	key := g.Private
	if len(g.Public) > 0 {
		key = g.Public
	}
	if bytes.Contains(key, []byte(`"keys"`)) {
		return key
	}
	return []byte(`{"keys":[` + string(key) + `]}`)
}

// member is one text member of the group's private key, which every group has.
func (g vectorGroup) member(t testing.TB, name string) string {
	t.Helper()
	var members map[string]any
	if err := json.Unmarshal(g.Private, &members); err != nil {
		t.Fatal(err)
	}
	text, _ := members[name].(string)
	return text
}

// allAlgorithms are the algorithms a key set may be asked for.
var allAlgorithms = []string{HS256, RS256, PS256, ES256}

// anyForm accepts every compact form.
var anyForm = Accept{JWS: true, JWE: true}

// openWith loads a key set as an operator's file would be and opens a token with it.
func openWith(set []byte, compact string) (payload string, fault Fault, loading error) {
	keys, err := ParseJWKS("vector", set, allAlgorithms, true)
	if err != nil {
		return "", "", err
	}
	ring, err := NewRing(keys)
	if err != nil {
		return "", "", err
	}
	payload, _, fault = ring.Open(compact, 0, anyForm)
	return payload, fault, nil
}

// tally counts what a corpus says, so that one that has silently shrunk is noticed.
type tally struct{ valid, invalid int }

func (n *tally) add(result string) {
	if result == "valid" {
		n.valid++
		return
	}
	n.invalid++
}
