package jose_test

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/approovgate/approovgate/jose"
)

// npmDir holds the script that asks the npm package jose. The package is installed by
//
//	npm install --prefix jose/testdata/npm --no-package-lock --ignore-scripts
const npmDir = "testdata/npm"

// askNPM has the npm package jose answer requests, one line each; see testdata/npm/oracle.mjs.
func askNPM(t *testing.T, requests []string) []string {
	t.Helper()
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("npm jose is not asked: node is not installed")
	}
	if _, err := os.Stat(npmDir + "/node_modules/jose"); err != nil {
		t.Skipf("npm jose is not asked: %s/node_modules is absent; npm install --prefix jose/%s --no-package-lock --ignore-scripts", npmDir, npmDir)
	}
	keys, err := json.Marshal(map[string]any{
		"secret":  base64.StdEncoding.EncodeToString(secret(t, "account")),
		"rsa":     string(keyText(t, "rsa-account.public.pem")),
		"ec":      string(keyText(t, "p256-account.public.pem")),
		"private": map[string]string{"rsa": string(keyText(t, "rsa-account.private.pem")), "ec": string(keyText(t, "p256-account.private.pem"))},
	})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(node, "oracle.mjs")
	cmd.Dir = npmDir
	cmd.Stdin = strings.NewReader(string(keys) + "\n" + strings.Join(requests, "\n") + "\n")
	var out, problems bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problems
	if err := cmd.Run(); err != nil {
		t.Fatalf("node: %v\n%s", err, problems.String())
	}
	var answers []string
	lines := bufio.NewScanner(&out)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		answers = append(answers, lines.Text())
	}
	if len(answers) != len(requests) {
		t.Fatalf("answers: got %d, want %d\n%s", len(answers), len(requests), problems.String())
	}
	return answers
}

// npmRounds are how many tokens each algorithm is tried with.
var npmRounds = map[string]int{jose.HS256: 5_000, jose.RS256: 200, jose.PS256: 200, jose.ES256: 200, jwe: 1_000}

// npmParties are the parties without a kid: the script has one key for each algorithm.
func npmParties(t *testing.T) map[string]*party {
	t.Helper()
	first := map[string]*party{}
	for alg, sides := range parties(t) {
		for _, p := range sides {
			if p.kid == "" || alg == jose.ES256 {
				first[alg] = p
			}
		}
	}
	first[jose.ES256].ring = ringOf(t, public(t, jose.ES256, "p256-account", ""))
	return first
}

// TestNPMAgrees has the npm package jose open what we mint, and what we mint changed.
func TestNPMAgrees(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 2))
	previous := "a.b.c"
	var requests, tokens []string
	var asked []*party
	var genuine []bool
	ask := func(p *party, text string, unchanged bool) {
		if strings.ContainsAny(text, "\r\n\u2028\u2029") {
			return // the script reads lines
		}
		requests, tokens = append(requests, "open "+p.alg+" "+text), append(tokens, text)
		asked, genuine = append(asked, p), append(genuine, unchanged)
	}
	for alg, p := range npmParties(t) {
		for i := 0; i < npmRounds[alg]; i++ {
			made, err := p.mints(randomClaims(r))
			if err != nil {
				t.Fatal(err)
			}
			changed := mutate(r, made["mint"], previous)
			previous = made["mint"]
			ask(p, made["mint"], true)
			ask(p, changed, changed == made["mint"])
		}
	}
	for i, answer := range askNPM(t, requests) {
		payload, ok := asked[i].opens(tokens[i])
		if ok != genuine[i] {
			t.Errorf("%s: got opened %v, want %v", requests[i], ok, genuine[i])
		}
		if ok && answer != "ok "+b64(payload) {
			t.Errorf("%s: got payload %q, want what npm jose says, %q", requests[i], payload, answer)
		}
	}
}

// TestNPMMints opens what the npm package jose mints.
func TestNPMMints(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	var requests, payloads []string
	var asked []*party
	for alg, p := range npmParties(t) {
		for i := 0; i < npmRounds[alg]; i++ {
			payload, err := json.Marshal(randomClaims(r))
			if err != nil {
				t.Fatal(err)
			}
			requests, payloads, asked = append(requests, "mint "+alg+" "+b64(string(payload))), append(payloads, string(payload)), append(asked, p)
		}
	}
	for i, answer := range askNPM(t, requests) {
		text, ok := strings.CutPrefix(answer, "ok ")
		if !ok {
			t.Fatalf("%s: got %q, want a token", requests[i], answer)
		}
		if payload, ok := asked[i].opens(text); !ok || payload != payloads[i] {
			t.Errorf("%s: got payload %q (%v), want %q", text, payload, ok, payloads[i])
		}
	}
}
