package proxy

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// payload is what a client sends over one connection, byte for byte. Targets end in -000, which stands for the
// payload's number.
type payload struct {
	name string
	text string
	cut  bool // the payload breaks off: no further request follows, and the client hangs up

	// What the client reads until the connection ends: for each answer the name of the target the backend got, or
	// the status. Two words stand for what lacks a good token, and gets a 401 in mode enforce: hidden, and refused
	// for the outer request. Empty: nothing.
	want  string
	inLog string // the same in mode log; empty: as want, where hidden and outer reach the backend
}

// TestNothingIsSmuggled sends each payload in modes enforce and log and looks at what the backend got. However
// the backend reads, it must find no request that the gate has not checked, none twice, and in mode enforce
// only requests that came with a token of their own.
func TestNothingIsSmuggled(t *testing.T) {
	for _, mode := range []string{"enforce", "log"} {
		t.Run(mode, func(t *testing.T) {
			backend := newTap(t)
			gate := run(t, "http://"+backend.listener.Addr().String(), map[string]any{"mode": mode}, everyLine)
			words := newSmugglingWords(t)
			payloads := words.payloads()
			if len(payloads) < 80 {
				t.Fatalf("payloads: got %d, want at least 80", len(payloads))
			}
			for i, p := range payloads {
				number := fmt.Sprintf("-%03d", i)
				got := gate.converse(backend, p, number, words.last)
				if want := p.wantIn(mode); got != want {
					t.Errorf("%s (%d): the client got %q, want %q", p.name, i, got, want)
				}
				if got := gate.get("/flush"+number, words.flush); got.status != 200 || got.body != "/flush"+number {
					t.Errorf("%s (%d): the next client got %d %q, want its own answer", p.name, i, got.status, got.body)
				}
			}
			if err := gate.stop(); err != nil {
				t.Fatal(err)
			}
			backend.close()
			checked := gate.forwards(mode)
			for _, stream := range backend.streams() {
				for _, fault := range smuggled(stream, mode, checked) {
					t.Errorf("%s\nin %q", fault, stream)
				}
			}
			t.Logf("%d payloads, %d connections to the backend", len(payloads), len(backend.streams()))
		})
	}
}

// everyLine makes a gate log every decision.
func everyLine(p *Proxy) { p.Tree["log"].(map[string]any)["sample"] = 0 }

// wantIn is what the client reads in a mode: log mode forwards what enforce mode refuses for want of a token.
func (p payload) wantIn(mode string) string {
	switch {
	case mode == "enforce":
		return strings.NewReplacer("hidden", "401", "refused", "401").Replace(p.want)
	case p.inLog != "":
		return p.inLog
	}
	return strings.ReplaceAll(p.want, "refused", "outer")
}

// converse sends a payload, and a last request behind it unless it breaks off, and reads all answers.
func (r *rig) converse(backend *tap, p payload, number, last string) string {
	conn := r.dial()
	defer conn.Close()
	text := p.text
	if !p.cut {
		text += request("GET", "/last-000", "Connection: close", last)
	}
	// The gate may answer and close before it has read everything: what counts is the answer.
	_, _ = io.WriteString(conn, strings.ReplaceAll(text, "-000", number))
	if p.cut && p.want == "" {
		backend.wait("/outer" + number)
		return ""
	}
	var got []string
	reader := bufio.NewReader(conn)
	method, _, _ := strings.Cut(strings.TrimLeft(text, "\r\n"), " ")
	for !p.cut || len(got) < len(strings.Fields(p.want)) {
		response, err := http.ReadResponse(reader, &http.Request{Method: method})
		if err != nil {
			break
		}
		body, err := io.ReadAll(response.Body)
		if err != nil {
			got = append(got, "broken")
			break
		}
		if response.StatusCode == 100 && len(got) > 0 && got[len(got)-1] == "100" {
			continue // the gate's own and the backend's, which come in either order or as one
		}
		if name, ours := strings.CutSuffix(strings.TrimPrefix(string(body), "/"), number); ours && response.StatusCode == 200 {
			got = append(got, name)
		} else {
			got = append(got, fmt.Sprint(response.StatusCode))
		}
		if response.StatusCode >= 200 {
			method = "GET"
		}
	}
	return strings.Join(got, " ")
}

// forwards counts, by path, the requests that the gate has let through; in mode enforce those that passed.
func (r *rig) forwards(mode string) map[string]int {
	checked := map[string]int{}
	for _, line := range r.log.lines(`"action":"forward"`) {
		var told struct{ Verdict, Path string }
		if err := json.Unmarshal([]byte(line), &told); err != nil {
			r.t.Errorf("log line %q: %v", line, err)
		}
		if told.Verdict == "pass" || mode == "log" {
			checked[told.Path]++
		}
	}
	return checked
}

// smuggled tells what in a connection's bytes is not one of the checked requests, in any reading.
func smuggled(stream, mode string, checked map[string]int) []string {
	var faults []string
	for _, how := range readings {
		seen := map[string]int{}
		for _, r := range how.requests(stream) {
			path := r.path()
			if seen[path]++; seen[path] > checked[path] {
				faults = append(faults, fmt.Sprintf("%s: got %s %s %d times, want it %d times", how.name, r.method, path, seen[path], checked[path]))
			}
			name, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "-")
			verdict, device := r.values("x-approov-verdict"), r.values("x-approov-device")
			if mode == "enforce" && (!slices.Equal(verdict, []string{"pass"}) || !slices.Equal(device, []string{name})) {
				faults = append(faults, fmt.Sprintf("%s: %s has verdict %q and device %q, want pass and %s", how.name, path, verdict, device, name))
			}
			if how == (reading{name: how.name}) {
				if text := ambiguity(r.head, mode); text != "" {
					faults = append(faults, fmt.Sprintf("%s: got %s, want no ambiguity", path, text))
				}
			}
		}
	}
	return faults
}

// TestPayloadsAreDangerous holds the test above: a proxy that passed the payloads on as they are would let many
// of the hidden requests through, in one reading or another.
func TestPayloadsAreDangerous(t *testing.T) {
	dangerous := 0
	payloads := newSmugglingWords(t).payloads()
	for _, p := range payloads {
		if len(smuggled(p.text, "enforce", map[string]int{"/outer-000": 1})) > 0 {
			dangerous++
		}
	}
	if dangerous < len(payloads)/2 {
		t.Errorf("payloads that a blind proxy lets through: got %d of %d, want half at least", dangerous, len(payloads))
	}
}
