package e2e_test

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
)

// client is a well-behaved client of a gate, which keeps its connections.
type client struct {
	http   *http.Client
	origin string
	token  string
	dialed atomic.Int64 // connections

	disconnect bool // after each request
}

// client speaks h2 or http/1.1 over TLS, or http for HTTP/1.1 without it.
func (g *gate) client(t *testing.T, protocol string) *client {
	t.Helper()
	c := &client{origin: "https://" + g.secure, token: token(t)}
	protocols := new(http.Protocols)
	protocols.SetHTTP2(protocol == "h2")
	protocols.SetHTTP1(protocol != "h2")
	if protocol == "http" {
		c.origin = "http://" + g.plain
	}
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: testAuthority.pool, MinVersion: tls.VersionTLS12}, Protocols: protocols,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			c.dialed.Add(1)
			var d net.Dialer
			return d.DialContext(ctx, network, address)
		},
	}
	t.Cleanup(transport.CloseIdleConnections)
	c.http = &http.Client{Transport: transport, Timeout: patience}
	return c
}

// ask sends a request with the token, and returns the status and the body.
func (c *client) ask(ctx context.Context, path string) (int, []byte, error) {
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, c.origin+path, nil)
	if err != nil {
		return 0, nil, err
	}
	q.Header.Set("Approov-Token", c.token)
	q.Close = c.disconnect
	response, err := c.http.Do(q)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return response.StatusCode, body, err
}

func (c *client) status(t *testing.T, path string) int {
	t.Helper()
	status, _, err := c.ask(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	return status
}
