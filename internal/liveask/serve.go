package liveask

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/approovgate/approovgate/engine"
)

// received is a request as net/http's server hands it over.
func received(text, peer string) (*http.Request, error) {
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(text)))
	if err != nil {
		return nil, err
	}
	r.RemoteAddr = "192.0.2.1:4711"
	if peer != "" {
		r.RemoteAddr = peer
	}
	return r, nil
}

// ask is what becomes of a request.
func (d *desk) ask(text, peer string) map[string]interface{} {
	r, err := received(text, peer)
	if err != nil {
		return object{"error": err.Error()}
	}
	a := d.gate.Ask(r)
	out := object{
		"verdict": string(a.Verdict), "action": string(a.Action), "reason": string(a.Reason), "mode": string(a.Mode),
		"route": a.Route, "key": a.Key, "attrs": len(a.Attrs(r)),
	}
	if a.Action != engine.Forward {
		w := httptest.NewRecorder()
		a.Refuse(w, r)
		out["status"] = w.Code
		out["body"] = w.Body.String()
		out["answer"] = map[string][]string(w.Header())
		return out
	}
	a.Apply(r)
	out["target"] = r.URL.RequestURI()
	out["header"] = map[string][]string(r.Header)
	return out
}

// logged is what a log line says of a request, a line for each fact.
func (d *desk) logged(text, peer string) map[string]interface{} {
	r, err := received(text, peer)
	if err != nil {
		return object{"error": err.Error()}
	}
	a := d.gate.Ask(r)
	lines := []string{}
	for _, attr := range a.Attrs(r) {
		lines = append(lines, attr.Key+"="+attr.Value.String())
	}
	return object{"logged": lines}
}

// askMany asks the same from many addresses.
func (d *desk) askMany(text string, count int) map[string]interface{} {
	forwarded := 0
	for i := 0; i < count; i++ {
		r, err := received(text, fmt.Sprintf("198.51.%d.%d:4711", i/250, 1+i%250))
		if err != nil {
			return object{"error": err.Error()}
		}
		a := d.gate.Ask(r)
		if a.Action == engine.Forward {
			forwarded++
		}
	}
	return object{"forwarded": forwarded}
}

// handler is a gate in front of a service, as a plugin makes it: there is no goroutine that looks after sources,
// each request sees whether they are due.
type handler struct {
	desk *desk
	next http.Handler
}

// Handler makes the handler of a gate; nil: there is no gate of this name.
func Handler(name string, next http.Handler) http.Handler {
	d := find(name)
	if d == nil {
		return nil
	}
	return &handler{desk: d, next: next}
}

// ServeHTTP asks the gate.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g := h.desk.gate
	if g.Due() {
		go g.Poll(context.Background())
	}
	a := g.Ask(r)
	if a.Action != engine.Forward {
		a.Refuse(w, r)
		return
	}
	a.Apply(r)
	h.next.ServeHTTP(w, r)
}

// Repeat does what a measurement is of, n times: ask, due, or nothing.
func Repeat(name, what, request string, n int) bool {
	d := find(name)
	r, err := received(request, "")
	if d == nil || err != nil {
		return false
	}
	seen := false
	for i := 0; i < n; i++ {
		switch what {
		case "ask":
			a := d.gate.Ask(r)
			seen = a.Action == engine.Forward
		case "due":
			seen = d.gate.Due()
		}
	}
	return seen || what != "ask"
}
