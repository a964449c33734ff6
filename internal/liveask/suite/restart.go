package suite

import (
	"crypto/sha512"
	"encoding/base64"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// kept is a policy that keeps what it fetches, rings sealed under a secret.
func (p *player) kept(seal string) tree {
	p.Helper()
	if err := os.MkdirAll(p.path("cache"), 0o700); err != nil {
		p.Fatal(err)
	}
	sum := sha512.Sum512([]byte(seal))
	p.write("seal", base64.StdEncoding.EncodeToString(sum[:]))
	return p.policy(tree{
		"keys":    []any{tree{"name": "account", "alg": "HS256", "secret": "file:" + p.path("account")}, tree{"name": "fleet", "ring": p.server.url + "/ring", "refresh": "5s"}},
		"control": p.control(tree{"cache": p.path("cache"), "seal": "file:" + p.path("seal")}),
	})
}

// files are the paths of what is kept.
func (p *player) files() []string {
	p.Helper()
	found, err := filepath.Glob(p.path("cache/*"))
	if err != nil {
		p.Fatal(err)
	}
	return found
}

// restart ends gates and starts them again while the server is dead.
func restart(p *player) {
	policy := p.kept("seal")
	p.server.set("/control", serves(p.override(4, "bypass", time.Hour), `"1"`))
	p.server.set("/ring", serves(p.ring(4, member("ring", 0, 0)), `"1"`))
	token := p.token("ring", "", "device", 24*time.Hour)
	p.open("first", policy)
	p.poll(0)
	p.modes("first run", "bypass bypass bypass")
	if got := p.files(); len(got) != 2 {
		p.Errorf("got %d files kept, want 2", len(got))
	}
	for _, file := range p.files() {
		info, err := os.Stat(file)
		if err != nil || info.Mode().Perm() != 0o600 {
			p.Errorf("%s: got %v, %v, want mode 0600", file, info, err)
		}
		p.wantHidden("what is kept", readFile(p, file), secretForms("ring"))
	}
	p.server.set("/control", drops)
	p.server.set("/ring", drops)
	p.openAt("second", policy, noon.Add(30*time.Minute))
	p.modes("second run", "bypass bypass bypass")
	p.run(tree{"do": "status"})
	p.poll(0)
	p.modes("the server does not answer", "bypass bypass bypass")
	p.run(tree{"do": "status"})
	p.at(time.Hour)
	p.modes("its end", "enforce log enforce")
	p.reason("the ring", token, "ok")
	p.server.set("/control", answers(http.StatusOK, p.override(3, "bypass", 3*time.Hour)))
	p.server.set("/ring", answers(http.StatusOK, p.ring(3, member("other", 0, 0))))
	p.poll(long)
	p.source("an older document", "control.url", "version: 3 is not higher than 4")
	p.source("an older ring", "keys[1].ring", "version: 3 is lower than 4")
	p.openAt("third", policy, noon.Add(2*time.Hour))
	p.modes("third run, after its end", "enforce log enforce")
	p.poll(0)
	p.source("an older document, after a restart", "control.url", "version: 3 is not higher than 4")
	p.source("an older ring, after a restart", "keys[1].ring", "version: 3 is lower than 4")
	p.reason("the ring, after a restart", token, "ok")
	p.server.set("/control", answers(http.StatusOK, p.document(tree{"version": 5})))
	p.server.set("/ring", answers(http.StatusOK, p.ring(5, member("other", 0, 0))))
	p.poll(long)
	p.reason("another ring", token, "signature_invalid")
	p.openAt("fourth", policy, noon.Add(10*time.Minute))
	p.modes("fourth run, after resume", "enforce log enforce")
	p.reason("fourth run", token, "signature_invalid")
	p.run(tree{"do": "status"})
}

func readFile(p *player, path string) string {
	p.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		p.Fatal(err)
	}
	return string(text)
}

// badKept spoils what is kept, or where.
func badKept(p *player) {
	policy := p.kept("seal")
	p.server.set("/control", serves(p.override(4, "log", time.Hour), `"1"`))
	p.server.set("/ring", serves(p.ring(4, member("ring", 0, 0)), `"1"`))
	token := p.token("ring", "", "device", 24*time.Hour)
	p.open("first", policy)
	p.poll(0)
	p.reason("first run", token, "ok")
	good := map[string]string{}
	for _, file := range p.files() {
		good[file] = readFile(p, file)
	}
	p.server.set("/control", drops)
	p.server.set("/ring", drops)
	spoil := func(change func(text string) string) {
		for file, text := range good {
			p.write(filepath.Join("cache", filepath.Base(file)), change(text))
		}
	}
	for _, step := range []struct {
		name    string
		change  func(text string) string
		control string // failure
		ring    string
	}{
		{"cut off", func(text string) string { return text[:len(text)/2] }, "what an earlier run has kept", "cannot be unsealed"},
		{"one byte changed", func(text string) string { return text[:len(text)-1] + string(text[len(text)-1]^1) }, "what an earlier run has kept", "cannot be unsealed"},
		{"something else", func(string) string { return "something else" }, "what an earlier run has kept", "is not sealed"},
		{"each in the place of the other", func(text string) string {
			for _, other := range good {
				if other != text {
					return other
				}
			}
			return text
		}, "what an earlier run has kept", "is not sealed"},
	} {
		spoil(step.change)
		p.open(step.name, policy)
		p.modes(step.name, "enforce log enforce")
		p.reason(step.name, token, "signature_invalid")
		p.source(step.name, "control.url", step.control)
		p.source(step.name, "keys[1].ring", step.ring)
	}
	spoil(func(text string) string { return text })
	p.open("another name", p.named(policy, "other"))
	p.modes("another gate's", "enforce log enforce")
	p.reason("another gate's", token, "signature_invalid")
	p.open("another seal", p.kept("another"))
	p.modes("another seal", "log log log")
	p.source("another seal", "keys[1].ring", "control.seal has changed")
	p.open("again", p.kept("seal"))
	p.modes("again", "log log log")
	p.reason("again", token, "ok")
	p.noPlace(token)
}

// named is a policy under another name.
func (p *player) named(policy tree, name string) tree {
	other := tree{}
	for key, value := range policy {
		other[key] = value
	}
	other["name"] = name
	return other
}

// noPlace has no seal for a ring and then no folder for anything.
func (p *player) noPlace(token string) {
	p.Helper()
	p.server.set("/control", serves(p.override(4, "log", time.Hour), `"1"`))
	p.server.set("/ring", serves(p.ring(4, member("ring", 0, 0)), `"1"`))
	policy := p.kept("seal")
	policy["control"] = p.control(tree{"cache": p.path("cache")})
	for _, file := range p.files() {
		if err := os.Remove(file); err != nil {
			p.Fatal(err)
		}
	}
	p.open("no seal", policy)
	p.poll(0)
	p.reason("no seal", token, "ok")
	if got := p.files(); len(got) != 1 {
		p.Errorf("no seal: got %d files kept, want that of control alone", len(got))
	}
	policy["control"] = p.control(tree{"cache": p.path("cache/missing")})
	p.open("no folder", policy)
	p.poll(0)
	p.modes("no folder", "log log log")
	if failure, _ := p.statusQuietly("keep_failure").(string); failure == "" {
		p.Error("no folder: got no failure in status, want one")
	}
}
