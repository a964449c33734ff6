package suite

import (
	"encoding/base64"
	"net/http"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// long is more than any interval of a scenario.
const long = time.Minute

// controlURL serves documents one after another. Only good ones change anything.
func controlURL(p *player) {
	p.write("token", "a-bearer-token\n")
	p.open("edge", p.policy(tree{"control": p.control(tree{"token": "file:" + p.path("token")})}))
	p.modes("nothing asked yet", "enforce log enforce")
	none, err := jwt.NewWithClaims(jwt.SigningMethodNone, jwt.MapClaims{"aud": "edge", "iat": noon.Unix(), "version": 9}).SignedString(jwt.UnsafeAllowNoneSignatureType)
	if err != nil {
		p.Fatal(err)
	}
	ends := until(time.Hour)
	good := p.override(3, "log", time.Hour)
	parts := strings.Split(good, ".")
	for _, step := range []struct {
		name, envelope string
		modes          string
		failure        string // empty: it is taken
	}{
		{"a good one", p.override(1, "bypass", time.Hour), "bypass bypass bypass", ""},
		{"a route", p.document(tree{"version": 2, "routes": tree{"pay": tree{"mode": "log"}}, "until": ends}), "log log enforce", ""},
		{"another good one", good, "log log log", ""},
		{"with white space around it", "\r\n" + good + "\n", "log log log", ""},
		{"an older one", p.override(2, "bypass", time.Hour), "log log log", "version: 2 is not higher than 3"},
		{"other content of the same version", p.override(3, "bypass", time.Hour), "log log log", "version: 3 is not higher than 3"},
		{"forged", newSigner(p).sign(p, controlType, tree{"version": 9, "mode": "bypass", "until": ends}), "log log log", "signature_invalid"},
		{"altered", parts[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(`{"aud":"edge"}`)) + "." + parts[2], "log log log", "signature_invalid"},
		{"unsigned", none, "log log log", "cannot be trusted"},
		{"a ring", p.ring(9, member("other", 0, 0)), "log log log", "algorithm_refused"},
		{"for another gate", p.document(tree{"version": 9, "mode": "bypass", "until": ends, "aud": "other"}), "log log log", "aud: the document is for other gates"},
		{"for no gate", p.document(tree{"version": 9, "mode": "bypass", "until": ends, "aud": nil}), "log log log", "aud"},
		{"issued in the future", p.document(tree{"version": 9, "mode": "bypass", "until": ends, "iat": noon.Add(time.Hour).Unix()}), "log log log", "iat"},
		{"endless", p.document(tree{"version": 9, "mode": "bypass"}), "log log log", "until: a remote override must say when it ends"},
		{"endless and stricter", p.document(tree{"version": 9, "mode": "enforce"}), "log log log", "until"},
		{"an unknown member", p.document(tree{"version": 9, "modus": "bypass", "until": ends}), "log log log", "modus"},
		{"a wrong mode", p.document(tree{"version": 9, "mode": []string{"bypass"}, "until": ends}), "log log log", "mode"},
		{"oversized", good + strings.Repeat("A", 64*1024), "log log log", "more than 65536 bytes"},
		{"garbled", "<html>It works!</html>", "log log log", "cannot be trusted"},
		{"empty", "", "log log log", "cannot be trusted"},
		{"for many gates, some of whose routes are others", p.document(tree{"version": 4, "aud": []string{"other", "edge"}, "until": ends,
			"routes": tree{"shop": "bypass", "feed": tree{"mode": "enforce", "rollout": 100}}}), "enforce enforce enforce", ""},
		{"of a whole media type", p.signer.sign(p, "application/"+controlType, tree{"version": 5, "mode": "bypass", "until": ends}), "bypass bypass bypass", ""},
		{"resume", p.document(tree{"version": 6, "reason": "over", "by": "ops"}), "enforce log enforce", ""},
	} {
		p.server.set("/control", answers(http.StatusOK, step.envelope))
		p.poll(long)
		p.modes(step.name, step.modes)
		p.source(step.name, "control.url", step.failure)
		p.run(tree{"do": "events"})
		p.run(tree{"do": "get control", "slot": 1})
	}
	if got := p.server.header("/control", "Authorization"); got != "Bearer a-bearer-token" {
		p.Errorf("got Authorization %q, want the bearer token", got)
	}
}

// failingServer answers with everything but a document, while a bypass is in force.
func failingServer(p *player) {
	document := p.override(1, "bypass", time.Hour)
	p.server.set("/control", serves(document, `"1"`))
	p.open("edge", p.policy(tree{"control": p.control(nil)}))
	p.poll(0)
	p.modes("at first", "bypass bypass bypass")
	p.poll(long)
	p.source("not modified", "control.url", "")
	if got := p.server.header("/control", "If-None-Match"); got != `"1"` {
		p.Errorf("got If-None-Match %q, want the entity tag", got)
	}
	for _, step := range []struct {
		name    string
		page    http.HandlerFunc
		failure string // empty: it is well again
	}{
		{"500", answers(500, "sorry"), "the server answers 500"},
		{"401", answers(401, ""), "is the bearer token right?"},
		{"404", answers(404, ""), "is the path right?"},
		{"a redirect", answers(302, ""), "redirects are not followed"},
		{"204", answers(204, ""), "the server answers 204"},
		{"the connection dropped", drops, "no answer"},
		{"cut off", cuts(document[:100]), "no answer"},
		{"a long head", longHead, "no answer"},
		{"endless", endless, "more than 65536 bytes"},
		{"well again", serves(document, `"1"`), ""},
		{"another document under a new tag", serves(p.override(2, "bypass", 2*time.Hour), `"2"`), ""},
		{"500 again", answers(500, ""), "the server answers 500"},
	} {
		p.server.set("/control", step.page)
		p.poll(long)
		p.modes(step.name, "bypass bypass bypass")
		p.source(step.name, "control.url", step.failure)
		p.run(tree{"do": "events"})
	}
	p.server.stop()
	p.poll(long)
	p.modes("nobody listens", "bypass bypass bypass")
	p.source("nobody listens", "control.url", "no answer")
	p.run(tree{"do": "events"})
}

// hangingServer has sources that hang, drip and never answer, all at once, and asks meanwhile.
func hangingServer(p *player) {
	p.server.set("/control", serves(p.override(1, "log", time.Hour), `"1"`))
	keys := []any{
		tree{"name": "account", "alg": "HS256", "secret": "file:" + p.path("account")},
		tree{"name": "fleet", "ring": p.server.url + "/ring", "refresh": "5s"},
		tree{"name": "set", "jwks": p.server.url + "/set", "algs": []any{"ES256"}, "ca": p.path("ca.pem"), "refresh": "5s"},
	}
	p.server.set("/ring", serves(p.ring(1, member("ring", 0, 0)), `"1"`))
	p.server.set("/set", serves(p.signer.set("one"), `"1"`))
	p.open("edge", p.policy(tree{"keys": keys, "control": p.control(nil)}))
	p.poll(0)
	p.run(tree{"do": "status"})
	p.server.set("/control", p.server.hangs)
	p.server.set("/ring", p.server.drips)
	p.server.set("/set", p.server.hangs)
	polled := make(chan string, 1)
	p.run(tree{"do": "pass", "elapsed": long.Milliseconds()})
	asked := p.server.count("/control") + p.server.count("/set")
	go func() { polled <- p.send(tree{"do": "poll"}) }()
	for p.server.count("/control")+p.server.count("/set") < asked+2 { // until both hang
		select {
		case answer := <-polled:
			p.Fatalf("got %s, want a poll that waits for the server", answer)
		case <-time.After(5 * time.Millisecond):
		}
	}
	p.modes("meanwhile", "log log log")
	p.reason("meanwhile", p.token("ring", "", "device", time.Hour), "ok")
	p.run(tree{"do": "due"})
	p.run(tree{"do": "poll"}) // leaves them to the other
	p.wantIn("meanwhile", p.run(tree{"do": "refresh"})["problems"], "")
	p.script = append(p.script, "polled: "+<-polled)
	for _, name := range []string{"control.url", "keys[1].ring", "keys[2].jwks"} {
		p.source("after that", name, "no complete answer within 5s")
	}
	p.modes("after that", "log log log")
	p.reason("after that", p.token("ring", "", "device", time.Hour), "ok")
}

// bypassEnds lets a bypass run out while its server is dead.
func bypassEnds(p *player) {
	p.server.set("/control", serves(p.override(1, "bypass", 15*time.Minute), `"1"`))
	p.open("edge", p.policy(tree{"control": p.control(nil)}))
	p.poll(0)
	p.server.set("/control", drops)
	for _, step := range []struct {
		after time.Duration
		modes string
		event string
	}{
		{time.Second, "bypass bypass bypass", "source_failing"},
		{14 * time.Minute, "bypass bypass bypass", ""},
		{15*time.Minute - time.Nanosecond, "bypass bypass bypass", ""},
		{15 * time.Minute, "enforce log enforce", "control_ended remote version 1"},
		{time.Hour, "enforce log enforce", ""},
	} {
		p.run(tree{"do": "events"})
		p.at(step.after)
		p.modes("before the poll at "+step.after.String(), step.modes)
		p.poll(long)
		p.modes("at "+step.after.String(), step.modes)
		if step.event == "" {
			p.events("at " + step.after.String())
		} else {
			p.events("at "+step.after.String(), step.event)
		}
	}
	p.server.set("/control", serves(p.override(1, "bypass", 15*time.Minute), `"1"`))
	p.poll(long)
	p.modes("the server is back with the same document", "enforce log enforce")
	p.server.set("/control", serves(p.override(2, "bypass", 2*time.Hour), `"2"`))
	p.poll(long)
	p.modes("it has a newer one", "bypass bypass bypass")
}

// precedence sets both slots.
func precedence(p *player) {
	p.open("edge", p.policy(tree{"control": p.control(tree{"file": p.path("control.json")})}))
	remote := func(document string) {
		p.server.set("/control", answers(http.StatusOK, document))
		p.poll(long)
	}
	local := func(text string) {
		p.write("control.json", text)
		p.refresh(text, "")
	}
	remote(p.override(7, "log", time.Hour))
	p.modes("remote alone", "log log log")
	local(`{"version": 1, "routes": {"pay": "bypass"}, "until": "2030-01-31T12:30:00Z"}`)
	p.modes("local wins as a whole", "bypass log enforce")
	remote(p.override(8, "bypass", time.Hour))
	p.modes("even over a newer remote one", "bypass log enforce")
	p.run(tree{"do": "status"})
	p.at(30 * time.Minute)
	p.modes("local has ended", "bypass bypass bypass")
	local(`{"version": 2, "mode": "log", "until": "2030-01-31T13:30:00Z"}`)
	p.modes("local again", "log log log")
	local(`{"version": 3}`)
	p.modes("local resumes", "bypass bypass bypass")
	remote(p.document(tree{"version": 9}))
	p.modes("remote resumes", "enforce log enforce")
	p.run(tree{"do": "events"})
	p.run(tree{"do": "status"})
	p.run(tree{"do": "counters"})
}

// rollout changes the share of devices that are enforced.
func rollout(p *player) {
	p.open("edge", p.policy(tree{"control": p.control(nil), "mode": "enforce", "rollout": 50}))
	const devices = 400
	last := 0.0
	for version, step := range []struct {
		name    string
		control tree // empty: none
		low     float64
		high    float64
	}{
		{"the policy's", nil, 140, 260},
		{"nobody", tree{"mode": "enforce", "rollout": 0}, devices, devices},
		{"a quarter", tree{"rollout": 25}, 240, 360},
		{"three quarters", tree{"rollout": 75}, 40, 160},
		{"everybody", tree{"rollout": 100}, 0, 0},
		{"a route alone", tree{"routes": tree{"pay": tree{"rollout": 10}}}, 310, 390},
		{"other words", tree{"rollout": "90", "routes": tree{"pay": tree{"mode": "bypass"}}}, devices, devices},
	} {
		if step.control != nil {
			step.control["version"], step.control["until"] = version, until(time.Hour)
			p.server.set("/control", answers(http.StatusOK, p.document(step.control)))
			p.poll(long)
			p.source(step.name, "control.url", "")
		}
		got, _ := p.run(tree{"do": "ask many", "request": request("/pay", ""), "count": devices})["forwarded"].(float64)
		if got < step.low || got > step.high {
			p.Errorf("%s: got %v of %d forwarded, want %v to %v", step.name, got, devices, step.low, step.high)
		}
		last = got
		p.run(tree{"do": "status"})
	}
	if last != devices {
		p.Errorf("at last: got %v forwarded, want all", last)
	}
	p.run(tree{"do": "counters"})
}

// policies changes the policy under control, and where control comes from.
func policies(p *player) {
	p.server.set("/control", serves(p.override(1, "bypass", time.Hour), `"1"`))
	control := p.control(nil)
	p.open("edge", p.policy(tree{"control": control}))
	p.poll(0)
	asked := p.server.count("/control")
	p.change(p.policy(tree{"control": control, "routes": []any{tree{"name": "other", "paths": "/other"}}}), "")
	p.modes("another policy", "bypass bypass bypass")
	p.change(p.policy(tree{"control": control, "deny_annotations": []any{"bad"}, "unknown": true}), "unknown key")
	p.modes("a bad policy", "bypass bypass bypass")
	p.change(p.policy(tree{"control": p.control(tree{"ca": p.path("control.pem")})}), "no certificate")
	p.modes("authorities that are none", "bypass bypass bypass")
	p.change(p.policy(tree{"control": p.control(tree{"keys": []any{"file:" + p.path("missing.pem")}})}), "control.keys[0]")
	p.change(p.policy(tree{"control": control}), "")
	if got := p.server.count("/control"); got != asked {
		p.Errorf("got %d requests, want still %d: nothing was due", got, asked)
	}
	p.poll(long)
	p.source("the same source", "control.url", "")
	if got := p.server.header("/control", "If-None-Match"); got != `"1"` {
		p.Errorf("got If-None-Match %q, want the entity tag that was known before", got)
	}
	other := newServer(p)
	p.write("other.pem", string(other.authority))
	p.change(p.policy(tree{"control": p.control(tree{"ca": p.path("other.pem")})}), "")
	p.poll(long)
	p.source("other authorities", "control.url", "no answer")
	p.write("ca.pem", string(other.authority)+string(p.server.authority))
	p.change(p.policy(tree{"control": control}), "")
	p.poll(long)
	p.source("both authorities", "control.url", "")
	p.server.set("/elsewhere", serves(p.override(2, "log", time.Hour), `"1"`))
	p.change(p.policy(tree{"control": p.control(tree{"url": p.server.url + "/elsewhere"})}), "")
	p.poll(0)
	p.source("another place", "control.url", "")
	p.modes("another place", "log log log")
	if got := p.server.header("/elsewhere", "If-None-Match"); got != "" {
		p.Errorf("got If-None-Match %q, want none at another place", got)
	}
	p.change(p.policy(nil), "")
	p.modes("no place", "log log log")
	if sources, _ := p.status("sources").([]any); len(sources) != 0 {
		p.Errorf("no place: got sources %v, want none", sources)
	}
	p.poll(long)
	p.at(time.Hour)
	p.modes("at its end", "enforce log enforce")
}
