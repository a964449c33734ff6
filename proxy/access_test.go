package proxy

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/approovgate/approovgate/internal/logline"
)

// withLog sets the section log of a proxy before it starts.
func withLog(section map[string]any) func(*Proxy) {
	return func(p *Proxy) { p.Tree["log"] = section }
}

// accessLines are the lines of the access log, decoded.
func (r *rig) accessLines() []map[string]any {
	r.t.Helper()
	var all []map[string]any
	for _, line := range r.log.lines(`"msg":"request"`) {
		var fields map[string]any
		if err := json.Unmarshal([]byte(line), &fields); err != nil {
			r.t.Fatalf("line %q: %v", line, err)
		}
		all = append(all, fields)
	}
	return all
}

func TestAccessLog(t *testing.T) {
	upstream := newUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		switch r.URL.Path {
		case "/teapot":
			w.WriteHeader(418)
			_, _ = io.WriteString(w, "short")
		case "/early":
			w.WriteHeader(103)
			_, _ = io.WriteString(w, "hello")
		case "/empty":
			w.WriteHeader(204)
		case "/half":
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, "half")
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		case "/socket":
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			fmt.Fprint(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
			conn.Close()
		default:
			_, _ = io.WriteString(w, "hello")
		}
	})
	gate := run(t, upstream.URL, map[string]any{}, withLog(map[string]any{"access": true}), withH2C)
	token := "Approov-Token: " + validToken(t, nil)
	for i, row := range []struct {
		name, request string
		want          map[string]any
	}{
		{"a request that is served", request("GET", "/x?secret=1", token, "X-Request-Id: a-1"), map[string]any{
			"status": 200.0, "bytes": 5.0, "method": "GET", "path": "/x", "host": "api.example.com", "protocol": "HTTP/1.1",
			"verdict": "pass", "reason": "ok", "action": "forward", "request_id": "a-1", "level": "INFO", "client": "127.0.0.0/24"}},
		{"a request without a token", request("GET", "/x"), map[string]any{"status": 401.0, "reason": "token_missing", "action": "reject"}},
		{"an answer of the upstream's own", request("GET", "/teapot", token), map[string]any{"status": 418.0, "bytes": 5.0}},
		{"an interim response before the answer", request("GET", "/early", token), map[string]any{"status": 200.0, "bytes": 5.0}},
		{"an answer without content", request("GET", "/empty", token), map[string]any{"status": 204.0, "bytes": 0.0}},
		{"a chunked request", request("POST", "/x", token, "Transfer-Encoding: chunked") + "0\r\n\r\n", map[string]any{"status": 200.0, "bytes": 5.0}},
		{"a malformed body", request("POST", "/x", token, "Transfer-Encoding: chunked") + "zz\r\n", map[string]any{"status": 400.0}},
		{"an answer that breaks off", request("GET", "/half", token), map[string]any{"status": 200.0, "bytes": 4.0}},
		{"a switch of protocols", request("GET", "/socket", token, "Connection: Upgrade", "Upgrade: websocket"), map[string]any{"status": 101.0}},
		{"a gRPC call that is refused", request("POST", "/x", "Content-Type: application/grpc", "Content-Length: 0"), map[string]any{"status": 200.0, "bytes": 0.0, "action": "reject"}},
		{"CONNECT", request("CONNECT", "api.example.com:443"), map[string]any{"status": 405.0}},
	} {
		t.Run(row.name, func(t *testing.T) {
			conn := gate.dial()
			_, _ = io.WriteString(conn, row.request)
			method, _, _ := strings.Cut(row.request, " ")
			reader := bufio.NewReader(conn)
			response, err := http.ReadResponse(reader, &http.Request{Method: method})
			if err == nil && response.StatusCode == 103 {
				response, err = http.ReadResponse(reader, &http.Request{Method: method})
			}
			if err == nil {
				_, _ = io.Copy(io.Discard, response.Body) // what is cut off shows in the line
			}
			conn.Close() // a connection that has switched lasts until both sides have ended it
			gate.log.wait(t, `"msg":"request"`, i+1)
			lines := gate.accessLines()
			if len(lines) != i+1 {
				t.Fatalf("got %d lines, want %d: one for each request", len(lines), i+1)
			}
			for field, want := range row.want {
				if got := lines[i][field]; got != want {
					t.Errorf("%s: got %v, want %v", field, got, want)
				}
			}
			if seconds, ok := lines[i]["seconds"].(float64); !ok || seconds < 0 {
				t.Errorf("seconds: got %v, want a number", lines[i]["seconds"])
			}
		})
	}
	t.Run("a request of HTTP/2", func(t *testing.T) {
		before := len(gate.accessLines())
		response := gate.post(overHTTP2(t), nil)
		_, _ = io.Copy(io.Discard, response.Body)
		response.Body.Close()
		gate.log.wait(t, `"msg":"request"`, before+1)
		if got := gate.accessLines()[before]; got["protocol"] != "HTTP/2.0" || got["status"] != 200.0 || got["bytes"] != 5.0 {
			t.Errorf("got %v, want HTTP/2.0 with 200 and 5 bytes", got)
		}
	})
}

func TestAccessLogOfRequestsTurnedAway(t *testing.T) {
	upstream := newSlowUpstream(t)
	gate := run(t, upstream.URL, map[string]any{}, withLog(map[string]any{"access": true}), limited(map[string]any{"in_flight": 1, "queue": 0}))
	gate.begin()
	<-upstream.arrived
	if got := answerOn(t, gate.begin()); got.status != 503 {
		t.Fatalf("got %d, want 503", got.status)
	}
	gate.log.wait(t, `"msg":"request"`, 1)
	if got := gate.accessLines(); len(got) != 1 || got[0]["status"] != 503.0 || got[0]["action"] != "forward" {
		t.Errorf("got %v, want one line with 503", got)
	}
	upstream.release()
	gate.log.wait(t, `"msg":"request"`, 2)
	t.Run("one that leaves the queue has a line, too", func(t *testing.T) {
		upstream := newSlowUpstream(t)
		gate := run(t, upstream.URL, map[string]any{}, withLog(map[string]any{"access": true}), limited(map[string]any{"in_flight": 1, "queue": 1, "queue_timeout": "1h"}))
		gate.begin()
		<-upstream.arrived
		conn := gate.begin()
		gate.queued("1")
		conn.Close()
		gate.log.wait(t, `"msg":"request"`, 1)
	})
}

func TestNoAccessLogUnlessAskedFor(t *testing.T) {
	gate := run(t, newUpstream(t, nil).URL, map[string]any{})
	gate.get("/x", "Approov-Token: "+validToken(t, nil))
	if got := gate.accessLines(); got != nil {
		t.Errorf("got %v, want no line", got)
	}
}

// TestAFloodIsSampled sends a thousand requests of one kind and a few of another.
func TestAFloodIsSampled(t *testing.T) {
	const flood, others, sample = 1000, 3, 10
	gate := run(t, newUpstream(t, nil).URL, map[string]any{}, withLog(map[string]any{"sample": sample}))
	conn := gate.dial()
	defer conn.Close()
	reader := bufio.NewReader(conn)
	ask := func(lines ...string) {
		fmt.Fprint(conn, request("GET", "/x", lines...))
		response, err := http.ReadResponse(reader, nil)
		if err != nil || response.StatusCode != 401 {
			t.Fatalf("got %v, %v, want 401", response, err)
		}
		_, _ = io.Copy(io.Discard, response.Body) // so that the next answer begins
	}
	for range flood {
		ask()
	}
	for range others {
		ask("Approov-Token: x")
	}
	if err := gate.stop(); err != nil { // writes the last summary
		t.Fatal(err)
	}
	own, summed, seconds := len(gate.log.lines(`"reason":"token_missing","action":"reject","mode"`)), 0.0, 0
	for _, line := range gate.log.lines("requests not logged one by one") {
		var fields map[string]any
		if err := json.Unmarshal([]byte(line), &fields); err != nil {
			t.Fatal(err)
		}
		if fields["reason"] != "token_missing" || fields["action"] != "reject" || fields["route"] != "" {
			t.Errorf("summary: got %s, want the flood's kind", line)
		}
		summed += fields["requests"].(float64)
		seconds++
	}
	if own+int(summed) != flood || own < sample || own > sample*(seconds+2) {
		t.Errorf("got %d lines and %d summed up in %d lines, want %d in all and %d lines a second", own, int(summed), seconds, flood, sample)
	}
	if got := len(gate.log.lines(`"reason":"token_malformed"`)); got != others {
		t.Errorf("the other kind: got %d lines, want %d: a flood hides nothing", got, others)
	}
}

// TestEveryMetricMoves makes each of the sidecar's metrics say something else than at the start; other tests
// look at the exact numbers.
func TestEveryMetricMoves(t *testing.T) {
	files := pairFiles(t, "", "")
	cert, key := testPair(t, 1, farAway)
	write(t, files.cert, cert)
	write(t, files.key, key)
	lines := logline.New(io.Discard, nil)
	t.Cleanup(func() { _ = lines.Close(context.Background()) }) // it has nothing to lose
	upstream := newSlowUpstream(t)
	gate := run(t, upstream.URL, map[string]any{"routes": []any{map[string]any{"name": "bound", "paths": []any{"/bound"}, "binding": map[string]any{"from": []any{"header:Authorization"}, "missing_pay": "accept"}}}},
		limited(map[string]any{"in_flight": 1, "queue": 1, "queue_timeout": "1h", "connections": 50}),
		func(p *Proxy) {
			p.Lines = lines
			p.Tree["listen"] = []any{"http://127.0.0.1:0", "https://127.0.0.1:0"}
			p.Tree["tls"] = map[string]any{"cert": files.cert, "key": files.key}
		})
	gate.get("/x")
	gate.begin()
	<-upstream.arrived
	gate.begin()
	gate.queued("1")
	answerOn(t, gate.begin())
	for name, want := range map[string]string{
		`approovgate_decisions_total{action="forward",mode="enforce",reason="ok",route="",verdict="pass"}`:           "3",
		`approovgate_decisions_total{action="reject",mode="enforce",reason="token_missing",route="",verdict="fail"}`: "1",
		"approovgate_check_duration_seconds_count":                                                                   "4",
		"approovgate_requests_in_flight":                                                                             "1",
		"approovgate_requests_queued":                                                                                "1",
		`approovgate_requests_shed_total{cause="queue_full"}`:                                                        "1",
		`approovgate_requests_shed_total{cause="queue_timeout"}`:                                                     "0",
		"approovgate_connections_limit":                                                                              "50",
		"approovgate_connections_accepted_total":                                                                     "4",
		`approovgate_connections_closed_total{cause="idle"}`:                                                         "0",
		`approovgate_connections_closed_total{cause="newest"}`:                                                       "0",
		"approovgate_panics_total":                                                                                   "0",
		"approovgate_log_lines_dropped_total":                                                                        "0",
		"approovgate_log_write_errors_total":                                                                         "0",
		"approovgate_config_failing":                                                                                 "0",
		`approovgate_keys{usable="true"}`:                                                                            "1",
		`approovgate_upstream_responses_total{class="2xx"}`:                                                          "0",
		`approovgate_upstream_errors_total{kind="connect"}`:                                                          "0",
		`approovgate_upstream_errors_total{kind="timeout"}`:                                                          "0",
		`approovgate_upstream_errors_total{kind="tls"}`:                                                              "0",
		`approovgate_upstream_errors_total{kind="protocol"}`:                                                         "0",
		`approovgate_upstream_errors_total{kind="client"}`:                                                           "0",
		"approovgate_upstream_duration_seconds_count":                                                                "0",
		`approovgate_config_reloads_total{result="success"}`:                                                         "0",
		`approovgate_config_reloads_total{result="failure"}`:                                                         "0",
	} {
		if got := gate.metric(name); got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
	if got := gate.metric(`approovgate_certificate_not_after_timestamp_seconds{use="server"}`); !sameNumber(got, float64(farAway.Unix())) {
		t.Errorf("end of the certificate: got %s, want %d", got, farAway.Unix())
	}
	if got := gate.metric(`approovgate_certificate_loaded_timestamp_seconds{use="server"}`); sameNumber(got, 0) {
		t.Error("when the certificate was taken into force: got 0, want a moment")
	}
	upstream.release()
	until(t, "two responses", func() bool { return gate.metric(`approovgate_upstream_responses_total{class="2xx"}`) == "2" })
	if got := gate.get("/bound", "Approov-Token: "+validToken(t, nil), "Authorization: Bearer x"); got.status != 200 {
		t.Fatalf("a request without a binding: got %d, want 200", got.status)
	}
	for name, want := range map[string]string{"approovgate_upstream_duration_seconds_count": "3", `approovgate_unbound_total{route="bound"}`: "1", "approovgate_requests_in_flight": "0"} {
		until(t, name+" "+want, func() bool { return gate.metric(name) == want })
	}
}

func TestClassesOfResponses(t *testing.T) {
	upstream := newUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		var status int
		_, _ = fmt.Sscanf(r.URL.Path, "/%d", &status)
		w.WriteHeader(status)
	})
	gate := run(t, upstream.URL, map[string]any{})
	for _, status := range []int{200, 204, 301, 304, 404, 418, 451, 500, 599} {
		if got := gate.get(fmt.Sprintf("/%d", status), "Approov-Token: "+validToken(t, nil)); got.status != status {
			t.Errorf("got %d, want %d", got.status, status)
		}
	}
	for class, want := range map[string]string{"1xx": "0", "2xx": "2", "3xx": "2", "4xx": "3", "5xx": "2"} {
		if got := gate.metric(`approovgate_upstream_responses_total{class="` + class + `"}`); got != want {
			t.Errorf("%s: got %s, want %s", class, got, want)
		}
	}
}
