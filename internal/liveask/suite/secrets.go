package suite

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// secretForms are what a test key's secret may look like in print.
func secretForms(name string) []string {
	secret := secretOf(name)
	return []string{
		string(secret), base64.StdEncoding.EncodeToString(secret), base64.URLEncoding.EncodeToString(secret), base64.RawURLEncoding.EncodeToString(secret),
		hex.EncodeToString(secret), fmt.Sprint(secret)[1:40], fmt.Sprintf("%#v", secret)[7:40], fmt.Sprintf("%q", string(secret))[1:40],
		strings.TrimSuffix(fmt.Sprintf("%#v", string(secret))[1:40], `"`),
	}
}

// wantHidden demands that a text holds none of others.
func (p *player) wantHidden(step, text string, hidden []string) {
	p.Helper()
	for _, form := range hidden {
		if at := strings.Index(text, form); at >= 0 {
			p.Errorf("%s: got %.60q in what is shown, want it nowhere: …%q", step, form, text[max(0, at-200):at])
		}
	}
}

// statusQuietly is status, for what may read differently from run to run.
func (p *player) statusQuietly(member string) any {
	p.Helper()
	var answer tree
	if err := json.Unmarshal([]byte(p.send(tree{"do": "status"})), &answer); err != nil {
		p.Fatal(err)
	}
	return answer[member]
}

// secrets looks for secrets of every kind in all that a host could come to log, in every state of a gate.
func secrets(p *player) {
	p.write("token", "bearer-token-to-look-for\n")
	policy := p.kept("seal")
	policy["control"].(tree)["token"] = "file:" + p.path("token")
	policy["keys"] = append(policy["keys"].([]any), tree{"name": "inline", "alg": "HS256", "secret": "inline:" + secretText("inline")})
	bound := p.token("ring", "", "device", time.Hour)
	var hidden []string
	for _, name := range []string{"account", "ring", "next", "inline"} {
		hidden = append(hidden, secretForms(name)...)
	}
	seal := strings.TrimSpace(readFile(p, p.path("seal")))
	raw, err := base64.StdEncoding.DecodeString(seal)
	if err != nil {
		p.Fatal(err)
	}
	hidden = append(hidden, "bearer-token-to-look-for", seal, string(raw), hex.EncodeToString(raw), fmt.Sprint(raw)[1:40], fmt.Sprintf("%#v", raw)[7:40],
		bound, bound[strings.LastIndexByte(bound, '.')+1:])
	show := func(step string) {
		p.Helper()
		var answer struct{ Shown string }
		if err := json.Unmarshal([]byte(p.send(tree{"do": "show", "request": request("/pay", bound)})), &answer); err != nil {
			p.Fatal(err)
		}
		if !strings.Contains(answer.Shown, `"reason"`) || !strings.Contains(answer.Shown, "account") || !strings.Contains(answer.Shown, "control.url") {
			p.Fatalf("%s: got %.300q, want the gate, its status and a log line", step, answer.Shown)
		}
		p.wantHidden(step, answer.Shown, hidden)
	}
	p.open("edge", policy)
	show("nothing fetched")
	document, ring := p.override(1, "log", time.Hour), p.ring(1, member("ring", 0, 0))
	hidden = append(hidden, document, ring)
	p.server.set("/control", serves(document, `"1"`))
	p.server.set("/ring", serves(ring, `"1"`))
	p.poll(long)
	p.reason("fetched", bound, "ok")
	show("fetched")
	weak := base64.StdEncoding.EncodeToString([]byte("weak-to-look-for"))
	hidden = append(hidden, weak, "weak-to-look-for")
	p.server.set("/ring", serves(p.ring(2, tree{"name": "x", "alg": "HS256", "secret": "inline:" + weak}), `"2"`))
	p.server.set("/control", answers(500, "bearer-token-to-look-for"))
	p.poll(long)
	p.source("a weak key", "keys[1].ring", "weak")
	show("failing")
	p.server.set("/ring", serves(p.ring(3, member("ring", 0, 0), member("next", 0, 0)), `"3"`))
	p.poll(long)
	show("rotated")
	p.server.set("/ring", drops)
	p.server.set("/control", drops)
	p.open("next run", policy)
	p.reason("kept", bound, "ok")
	show("kept")
	p.open("wrong seal", p.kept("another"))
	show("kept under another seal")
}
