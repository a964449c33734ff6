package proxy

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
)

// overHTTP2 is a client that speaks HTTP/2 without TLS.
func overHTTP2(t *testing.T) *http.Client {
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetUnencryptedHTTP2(true)
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: patience}
}

func TestAnUpstreamThatAnswersEarlyHurtsNobody(t *testing.T) {
	upstream := rawUpstream(t, func(c net.Conn, _ string) { fmt.Fprint(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok") })
	gate := run(t, "http://"+upstream, map[string]any{}, func(p *Proxy) { p.Tree["h2c"] = true })
	client := overHTTP2(t)
	for range 200 {
		body, more := io.Pipe()
		q, _ := http.NewRequest("POST", "http://"+gate.address+"/x", body)
		q.Header.Set("Approov-Token", validToken(t, nil))
		go more.Write(make([]byte, 1000))
		response, err := client.Do(q)
		if err != nil {
			t.Fatal(err)
		}
		io.ReadAll(response.Body)
		response.Body.Close()
		more.Close()
	}
}
