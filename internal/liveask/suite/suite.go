// Package suite holds scenarios of live control for any gate that obeys package liveask's commands, compiled or
// interpreted. A scenario is a story: a control server on 127.0.0.1, files, two clocks that it sets, and at each step
// what the gate must do.
//
// It owns the stories and the server with its faults. What two drivers answered to the same scenario must be the same
// text: see [Scenario.Play].
//
// Start reading at [Scenarios].
package suite

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/approovgate/approovgate/mint"
)

// Driver is a gate under test: package liveask, compiled or interpreted.
type Driver struct {
	Do      func(command string) string
	Handler func(gate string, next http.Handler) http.Handler
	Decode  func(policy map[string]any) (problems []string, made string)
}

// Scenario is one story.
type Scenario struct {
	Name  string // a sentence
	Alone bool   // nothing else may run meanwhile: it counts goroutines
	play  func(p *player)
}

// Scenarios are all of them.
func Scenarios() []Scenario {
	return []Scenario{
		{"the control file in all its states", false, controlFile},
		{"what the local slot takes and refuses", false, localSlot},
		{"an endless override and a stricter policy", false, stricterPolicy},
		{"documents from a control server", false, controlURL},
		{"a control server that fails", false, failingServer},
		{"a control server that hangs", false, hangingServer},
		{"a bypass ends at its end while its source is down", false, bypassEnds},
		{"local wins over remote, and resume", false, precedence},
		{"rollout by control", false, rollout},
		{"clocks that are set", false, clocks},
		{"policies come and go under control", false, policies},
		{"a ring rotates a fleet's secret", false, rotation},
		{"rings that are refused", false, badRings},
		{"a key set over https", false, keySet},
		{"control and rings outlive a restart", false, restart},
		{"kept documents that are of no use", false, badKept},
		{"nothing secret is shown", false, secrets},
		{"requests of all kinds", false, answered},
		{"a wrong value in every field", false, wrongValues},
		{"values of all types", false, allTypes},
		{"hosts, methods and paths in all forms", false, patterns},
		{"secrets and keys in all forms", false, references},
		{"requests see to the sources", true, onUse},
		{"everything at once", false, atOnce},
	}
}

type tree = map[string]any

// noon is where the gates' clock starts.
var noon = time.Date(2030, 1, 31, 12, 0, 0, 0, time.UTC)

// player plays one scenario with one driver.
type player struct {
	testing.TB
	driver Driver
	story  string // in front of the gates' names
	gate   string // that is spoken to
	folder string
	server *server
	signer *signer

	script []string // what was answered, without what differs from run to run
}

// Play plays the scenario and returns what the driver answered, without addresses and the folder's name.
func (s Scenario) Play(t testing.TB, d Driver) []string {
	t.Helper()
	p := &player{TB: t, driver: d, story: s.Name + " ", folder: t.TempDir(), signer: newSigner(t)}
	p.server = newServer(t)
	p.write("ca.pem", string(p.server.authority))
	p.write("control.pem", p.signer.public)
	p.write("account", secretText("account"))
	s.play(p)
	if len(p.script) == 0 {
		t.Error("the scenario has asked nothing")
	}
	return p.script
}

// path is a file in the scenario's folder.
func (p *player) path(name string) string { return filepath.Join(p.folder, name) }

func (p *player) write(name, text string) { p.writeMode(name, text, 0o600) }

func (p *player) writeMode(name, text string, mode os.FileMode) {
	p.Helper()
	if err := os.WriteFile(p.path(name), []byte(text), 0o600); err != nil {
		p.Fatal(err)
	}
	if err := os.Chmod(p.path(name), mode); err != nil {
		p.Fatal(err)
	}
}

// policy is a policy with a key of a file, a strict route and a lenient one.
func (p *player) policy(more tree) tree {
	policy := tree{
		"name":   "edge",
		"keys":   []any{tree{"name": "account", "alg": "HS256", "secret": "file:" + p.path("account")}},
		"routes": []any{tree{"name": "pay", "paths": "/pay"}, tree{"name": "feed", "paths": "/feed", "mode": "log"}},
	}
	for key, value := range more {
		policy[key] = value
	}
	return policy
}

// control is the part of a policy that names the control server, with more.
func (p *player) control(more tree) tree {
	control := tree{"url": p.server.url + "/control", "keys": []any{"file:" + p.path("control.pem")}, "ca": p.path("ca.pem"), "interval": "5s"}
	for key, value := range more {
		control[key] = value
	}
	return control
}

// send sends a command to the gate and returns the answer as text, without writing it down.
func (p *player) send(command tree) string {
	p.Helper()
	command["gate"] = p.story + p.gate
	text, err := json.Marshal(command)
	if err != nil {
		p.Fatal(err)
	}
	return p.driver.Do(string(text))
}

// run sends a command, writes down what was answered, and returns it.
func (p *player) run(command tree) tree {
	p.Helper()
	text := p.send(command)
	p.script = append(p.script, p.plain(fmt.Sprint(command["do"], ": ", text)))
	var answer tree
	if err := json.Unmarshal([]byte(text), &answer); err != nil {
		p.Fatalf("%v: got answer %.200q, want JSON", command["do"], text)
	}
	if problem, failed := answer["error"]; failed {
		p.Fatalf("%v: %v", command["do"], problem)
	}
	return answer
}

var addresses = regexp.MustCompile(`127\.0\.0\.1:[0-9]+`)

// plain is a text without what differs from run to run.
func (p *player) plain(text string) string {
	return addresses.ReplaceAllString(strings.ReplaceAll(text, p.folder, "FOLDER"), "ADDRESS")
}

// open makes a gate of the name from a policy at noon, to be spoken to from now on. It must succeed.
func (p *player) open(name string, policy tree) { p.openAt(name, policy, noon) }

func (p *player) openAt(name string, policy tree, now time.Time) {
	p.Helper()
	p.gate = name
	if answer := p.run(tree{"do": "make", "policy": policy, "now": now.Format(time.RFC3339Nano)}); answer["made"] != true {
		p.Fatalf("make: got %v, want a gate", answer)
	}
}

// change gives the gate another policy. problem is part of a line that Refresh must return; empty: it returns none.
func (p *player) change(policy tree, problem string) {
	p.Helper()
	p.run(tree{"do": "policy", "policy": policy})
	p.refresh("another policy", problem)
}

func (p *player) refresh(step, problem string) {
	p.Helper()
	p.wantIn(step+": problems", p.run(tree{"do": "refresh"})["problems"], problem)
}

// wantIn demands a list of lines of which one has a part, or an empty list for an empty part.
func (p *player) wantIn(step string, got any, part string) {
	p.Helper()
	lines, _ := got.([]any)
	if part == "" && len(lines) == 0 {
		return
	}
	for _, line := range lines {
		if part != "" && strings.Contains(line.(string), part) {
			return
		}
	}
	p.Errorf("%s: got %v, want %q", step, lines, part)
}

// at sets the clock to so long after noon.
func (p *player) at(after time.Duration) {
	p.Helper()
	p.run(tree{"do": "clock", "now": noon.Add(after).Format(time.RFC3339Nano)})
}

// pass moves both clocks on by so much and asks the sources that are due then.
func (p *player) poll(pass time.Duration) {
	p.Helper()
	p.run(tree{"do": "pass", "elapsed": pass.Milliseconds()})
	p.run(tree{"do": "poll"})
}

// modes demands the modes that requests for /pay, /feed and / are judged in.
func (p *player) modes(step, want string) {
	p.Helper()
	var got []string
	for _, target := range []string{"/pay", "/feed", "/"} {
		mode, _ := p.ask(target, "")["mode"].(string)
		got = append(got, mode)
	}
	if strings.Join(got, " ") != want {
		p.Errorf("%s: got modes %v, want %s", step, got, want)
	}
}

// ask asks with a token; empty: with none.
func (p *player) ask(target, token string) tree {
	p.Helper()
	return p.run(tree{"do": "ask", "request": request(target, token)})
}

// reason demands what becomes of a token.
func (p *player) reason(step, token, want string) {
	p.Helper()
	if got := p.ask("/pay", token)["reason"]; got != want {
		p.Errorf("%s: got reason %v, want %s", step, got, want)
	}
}

func request(target, token string) string {
	text := "GET " + target + " HTTP/1.1\r\nHost: api.example.com\r\n"
	if token != "" {
		text += "Approov-Token: " + token + "\r\n"
	}
	return text + "\r\n"
}

// status is a member of the gate's status.
func (p *player) status(member string) any {
	p.Helper()
	return p.run(tree{"do": "status"})[member]
}

// source demands what a source's status says of its last failure: a part of it; empty: there was none.
func (p *player) source(step, name, failure string) {
	p.Helper()
	sources, _ := p.status("sources").([]any)
	for _, one := range sources {
		s := one.(tree)
		if s["name"] != name {
			continue
		}
		if got := s["failure"].(string); !strings.Contains(got, failure) || failure == "" && got != "" {
			p.Errorf("%s: %s: got failure %q, want %q", step, name, got, failure)
		}
		return
	}
	p.Errorf("%s: there is no source %s", step, name)
}

// events demands what the gate has told since the last time: beginnings of lines, in order.
func (p *player) events(step string, want ...string) {
	p.Helper()
	got, _ := p.run(tree{"do": "events"})["events"].([]any)
	same := len(got) == len(want)
	for i := 0; same && i < len(want); i++ {
		same = strings.HasPrefix(got[i].(string), want[i])
	}
	if !same {
		p.Errorf("%s: got events %q, want %q", step, got, want)
	}
}

// until is a document's end, so long after noon.
func until(after time.Duration) string { return noon.Add(after).Format(time.RFC3339Nano) }

// token is a token of a device under a test key.
func (p *player) token(key, kid, device string, valid time.Duration) string {
	p.Helper()
	text, err := mint.Sign("HS256", kid, secretOf(key), tree{"exp": noon.Add(valid).Unix(), "did": device})
	if err != nil {
		p.Fatal(err)
	}
	return text
}
