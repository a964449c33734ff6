package proxy

import (
	"bufio"
	"crypto/tls"
	"encoding/pem"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// crosstalk is how many requests TestNoAnswerReachesAnotherClient sends; the environment variable
// APPROOVGATE_CROSSTALK sets another number.
const crosstalk = 20_000

// TestNoAnswerReachesAnotherClient sends many requests at once, each with an id of its own, and some of them are cut
// off by the client or spoilt by the backend. Every answer must carry the id of its request. To a backend behind TLS,
// which is dearer to reach, go few, and none that get a surplus of answers: http.Transport, which speaks HTTP/1.1 over
// TLS, may still take such a one for the answer to the next request.
func TestNoAnswerReachesAnotherClient(t *testing.T) {
	total := int64(crosstalk)
	if text := os.Getenv("APPROOVGATE_CROSSTALK"); text != "" {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n < 1 {
			t.Fatalf("APPROOVGATE_CROSSTALK: got %q, want a number of requests", text)
		}
		total = n
	}
	silenceTransport(t)
	t.Run("plain", func(t *testing.T) {
		gate := run(t, "http://"+bareUpstream(t, echoIDs), map[string]any{}, func(p *Proxy) { p.Log = nil })
		talkAtOnce(t, gate, total, append(faultsOfAll, "surplus"))
	})
	t.Run("TLS", func(t *testing.T) {
		certificate, ca := certificateOfTest(t)
		upstream := bareUpstream(t, func(conn net.Conn, _ *bufio.Reader) {
			secure := tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{certificate}})
			echoIDs(secure, bufio.NewReader(secure))
		})
		gate := run(t, "https://"+upstream, map[string]any{}, func(p *Proxy) {
			p.Log = nil
			p.Tree["upstream_tls"] = map[string]any{"ca": ca}
		})
		talkAtOnce(t, gate, total/40, faultsOfAll)
	})
}

// certificateOfTest is a server's certificate for 127.0.0.1, with its key, and the file of the authority to trust.
func certificateOfTest(t *testing.T) (certificate tls.Certificate, ca string) {
	t.Helper()
	lender := newTLSUpstream(t)
	ca = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: lender.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	return lender.TLS.Certificates[0], ca
}

// talkAtOnce sends the requests of a crowd and sums up what has become of them.
func talkAtOnce(t *testing.T, gate *rig, total int64, faults []string) {
	t.Helper()
	crowd := &crowd{gate: gate, total: total, faults: faults, token: "Approov-Token: " + validToken(t, nil)}
	const clients = 16
	var running sync.WaitGroup
	for range clients {
		running.Go(func() { // ends when all ids are taken
			for id := crowd.taken.Add(1); id <= total && !t.Failed(); id = crowd.taken.Add(1) {
				crowd.converse(t, id)
			}
		})
	}
	running.Wait()
	t.Logf("%d requests: %d answered, %d of the answers broken off by the backend, %d refused for the backend's fault, %d given up by the client",
		total, crowd.answered.Load(), crowd.torn.Load(), crowd.failed.Load(), crowd.left.Load())
	if got := crowd.answered.Load(); got < total/2 {
		t.Errorf("answered: got %d, want at least half of %d", got, total)
	}
	for what, got := range map[string]int64{"torn": crowd.torn.Load(), "failed": crowd.failed.Load(), "given up": crowd.left.Load()} {
		if got == 0 && total >= 1000 {
			t.Errorf("%s: got none, want some among so many", what)
		}
	}
}

// echoIDs answers each request with its id, from the query and from the content, a hundred times over. The query
// also says what is to go wrong.
func echoIDs(conn net.Conn, in *bufio.Reader) {
	for {
		r, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		content, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		query := r.URL.Query()
		id := query.Get("id")
		if r.Method == "POST" {
			id += "/" + string(content)
		}
		body := strings.Repeat(id+" ", 100)
		head := fmt.Sprintf("HTTP/1.1 200 OK\r\nX-Id: %s\r\n", query.Get("id"))
		switch query.Get("fault") {
		case "hangup":
			return
		case "reset":
			if secure, ok := conn.(*tls.Conn); ok {
				conn = secure.NetConn()
			}
			_ = conn.(*net.TCPConn).SetLinger(0)
			return
		case "torn":
			fmt.Fprintf(conn, "%sContent-Length: %d\r\n\r\n%s", head, len(body), body[:len(body)/2])
			return
		case "surplus":
			fmt.Fprintf(conn, "%sContent-Length: %d\r\n\r\n%s", head, len(body), body+"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged")
		case "chunks":
			fmt.Fprint(conn, head+coded+"\r\n\r\n"+chunk(body[:100])+chunk(body[100:])+lastChunk)
		default:
			fmt.Fprintf(conn, "%sContent-Length: %d\r\n\r\n%s", head, len(body), body)
		}
	}
}

// faultsOfAll is what requests ask the backend to do, as often as it stands here; empty: to answer well.
var faultsOfAll = []string{"", "", "", "", "chunks", "chunks", "hangup", "reset", "torn"}

// crowd is the clients of a gate and what has become of their requests.
type crowd struct {
	gate                         *rig
	token                        string
	total                        int64
	faults                       []string
	taken                        atomic.Int64 // ids
	answered, torn, failed, left atomic.Int64
}

// converse is one client's connection: a few requests, of which the last may be given up.
func (c *crowd) converse(t *testing.T, id int64) {
	conn, err := net.DialTimeout("tcp", c.gate.address, patience)
	if err != nil {
		t.Error(err)
		return
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(3 * patience)) // fails only on a closed connection, which the next write tells
	in := bufio.NewReader(conn)
	for n := 1; ; n++ {
		if !c.ask(t, conn, in, id) || n == 20 {
			return
		}
		if id = c.taken.Add(1); id > c.total {
			return
		}
	}
}

// ask sends one request and checks the answer. It reports whether the connection may be used again.
func (c *crowd) ask(t *testing.T, conn net.Conn, in *bufio.Reader, id int64) bool {
	fault := c.faults[rand.IntN(len(c.faults))]
	target := fmt.Sprintf("/x?id=%d&fault=%s", id, fault)
	content, want := "", fmt.Sprintf("%d ", id)
	text := request("GET", target, c.token)
	if kind := rand.IntN(3); kind > 0 {
		content = fmt.Sprintf("content-%d", id)
		want = fmt.Sprintf("%d/%s ", id, content)
		if kind == 1 {
			text = request("POST", target, length(content), c.token) + content
		} else {
			text = request("POST", target, coded, c.token) + chunk(content[:4]) + chunk(content[4:]) + lastChunk
		}
	}
	if rand.IntN(20) == 0 { // the client goes away, in its request or before the answer
		_, _ = io.WriteString(conn, text[:len(text)-rand.IntN(20)])
		c.left.Add(1)
		return false
	}
	if _, err := io.WriteString(conn, text); err != nil {
		t.Errorf("request %d: %v", id, err)
		return false
	}
	response, err := http.ReadResponse(in, nil)
	if err != nil {
		if fault == "torn" {
			c.torn.Add(1)
		} else {
			t.Errorf("request %d, fault %q: got %v, want an answer", id, fault, err)
		}
		return false
	}
	body, err := io.ReadAll(response.Body)
	switch {
	case response.StatusCode == 502 && string(body) == bodyBadGateway:
		c.failed.Add(1) // for its own fault, or that of the request before it on the connection to the backend
		return err == nil
	case response.StatusCode != 200:
		t.Errorf("request %d, fault %q: got %d %q, want an answer", id, fault, response.StatusCode, body)
	case response.Header.Get("X-Id") != fmt.Sprint(id), !strings.HasPrefix(strings.Repeat(want, 100), string(body)):
		t.Errorf("request %d, fault %q: got the answer of %q, %.60q, to %.4s with %q", id, fault, response.Header.Get("X-Id"), body, text, text[strings.Index(text, c.token)-30:strings.Index(text, c.token)])
	case fault == "torn":
		if err == nil {
			t.Errorf("request %d: got half an answer for a whole one", id)
		}
		c.torn.Add(1)
		return false
	case err != nil || len(body) != 100*len(want):
		t.Errorf("request %d, fault %q: got %d bytes, %v, want %d", id, fault, len(body), err, 100*len(want))
	default:
		c.answered.Add(1)
		return true
	}
	return false
}
