package traefikplugin

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/approovgate/approovgate/engine"
	"github.com/approovgate/approovgate/gate"
)

// records are the lines that were written.
func (r *rig) records() []map[string]any {
	r.Helper()
	var all []map[string]any
	for _, line := range strings.Split(strings.TrimSpace(r.out.String()), "\n") {
		var one map[string]any
		if err := json.Unmarshal([]byte(line), &one); err != nil {
			r.Fatalf("%s: %v", line, err)
		}
		all = append(all, one)
	}
	return all
}

func TestRequestsThatFailGetALineWithoutSecrets(t *testing.T) {
	r := newRig(t)
	h := r.open(t.Context(), r.edge(Config{"name": "edge", "routes": []interface{}{
		map[string]interface{}{"name": "logged", "paths": "/logged", "mode": "log"},
	}}), "edge@file")
	expired, foreign := r.token(), r.token()+"AAAA"
	r.ask(h, "/?session=query-to-look-for", expired) // still genuine: no line
	r.mu.Lock()
	r.time = noon.Add(time.Hour)
	r.mu.Unlock()
	r.ask(h, "/?session=query-to-look-for", expired)
	r.ask(h, "/logged", foreign)
	got := r.records()
	if len(got) != 2 {
		t.Fatalf("got %d lines, want 2\n%s", len(got), r.out.String())
	}
	for i, want := range []map[string]any{
		{"msg": "request rejected", "gate": "edge", "verdict": "fail", "reason": "token_expired", "action": "reject", "status": 401.0, "path": "/", "key": "account", "client": "192.0.2.0/24"},
		{"msg": "request would be rejected", "action": "forward", "mode": "log", "route": "logged"},
	} {
		for name, value := range want {
			if fmt.Sprint(got[i][name]) != fmt.Sprint(value) {
				t.Errorf("line %d, %s: got %v, want %v", i, name, got[i][name], value)
			}
		}
	}
	for _, hidden := range []string{expired, expired[len(expired)-20:], secret[20:], "query-to-look-for", "device-to-look-for"} {
		if strings.Contains(r.out.String()+r.log.String(), hidden) {
			t.Errorf("got %q in the lines, want it nowhere", hidden)
		}
	}
}

// A flood of one kind must neither fill the log nor hide another kind.
func TestAFloodIsSummedUp(t *testing.T) {
	r := newRig(t)
	l := newLines("edge")
	written, skipped := 0, int64(0)
	spend := func(of kind, second int64) {
		write, before := l.spend(of, second)
		if write {
			written++
		}
		skipped += before
	}
	flood := kind{reason: string(engine.TokenMissing), action: string(engine.Reject)}
	for i := 0; i < 1000; i++ {
		spend(flood, 1)
	}
	spend(kind{reason: string(engine.TokenExpired), action: string(engine.Reject)}, 1)
	if written != linesPerSecond+1 || skipped != 0 {
		t.Errorf("in one second: got %d lines and %d summed up, want %d and none yet", written, skipped, linesPerSecond+1)
	}
	spend(flood, 2)
	if written != linesPerSecond+2 || skipped != 990 {
		t.Errorf("in the next: got %d lines and %d summed up, want %d and 990", written, skipped, linesPerSecond+2)
	}
	for i := 0; i < 15; i++ {
		spend(flood, 2)
	}
	l.flush()
	l.flush()
	got := r.records()
	if len(got) != 1 || got[0]["msg"] != "requests not logged one by one" || got[0]["requests"] != 6.0 || got[0]["reason"] != "token_missing" {
		t.Errorf("after it: got %v, want one line for the 6 that are left", got)
	}
}

func TestAWholeFloodIsCounted(t *testing.T) {
	r := newRig(t)
	h := r.open(t.Context(), r.edge(nil), "edge@file")
	const requests = 200
	for i := 0; i < requests; i++ {
		r.ask(h, "/", "")
	}
	shared.find("edge@file\x00" + idOf(r.edge(nil))).lines.flush()
	told := 0.0
	for _, line := range r.records() {
		if line["msg"] == "request rejected" {
			told++
		} else {
			told += line["requests"].(float64)
		}
	}
	if told != requests {
		t.Errorf("lines and summaries: got %v requests, want %d", told, requests)
	}
}

func TestLongTextsOfEventsAreCut(t *testing.T) {
	r := newRig(t)
	newLines("edge").event(gate.Event{Kind: gate.SourceFailing, Source: "control.url", Text: strings.Repeat("x", 5000) + "end"})
	line := r.records()[0]
	if text := line["problem"].(string); len(text) > maxProblem+len("…") || line["level"] != "WARN" || line["source"] != "control.url" {
		t.Errorf("got %v, want a warning of at most %d bytes", line, maxProblem)
	}
}
