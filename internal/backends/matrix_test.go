package backends

import (
	"context"
	"crypto/sha512"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/approovgate/approovgate/config"
	"github.com/approovgate/approovgate/mint"
	"github.com/approovgate/approovgate/proxy"
	"github.com/approovgate/approovgate/token"
)

type tree = map[string]any

const bearer = "Bearer a-credential"

// testKey is the secret of a test key: public, never to be used.
func testKey() []byte {
	sum := sha512.Sum512([]byte("backends test key, public, never use"))
	return sum[:]
}

// policy has three rules, so that each can be taken for another: the public folder is exempt, the
// administrator's resources need a bound token, and everything else a token.
func policy(loose bool) tree {
	p := tree{
		"keys": []any{tree{"name": "account", "alg": "HS256", "secret": "inline:" + base64.StdEncoding.EncodeToString(testKey())}},
		"routes": []any{
			tree{"name": "public", "paths": "/public/**", "check": "none"},
			tree{"name": "admin", "paths": []any{"/api/admin", "/api/keys/**", "/api/caf\u00e9"}, "binding": tree{"from": "header:Authorization"}},
			tree{"name": "api", "paths": "/api/**"},
		},
	}
	if loose {
		p["targets"] = tree{"encoded_slash": "allow", "semicolon": "allow", "path_case": "fold"}
	}
	return p
}

// startGate runs a proxy in front of a backend until the test ends, and returns its address.
func startGate(t *testing.T, upstream string, loose bool) string {
	t.Helper()
	ready, ended := make(chan proxy.Addresses, 1), make(chan error, 1)
	p := &proxy.Proxy{
		Tree:  tree{"listen": "127.0.0.1:0", "upstream": upstream, "policy": policy(loose)},
		Ready: func(a proxy.Addresses) { ready <- a },
	}
	if problems := p.Load(); config.Failed(problems) {
		t.Fatalf("load: got %v, want no problem", problems)
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() { ended <- p.Run(ctx) }() // ended by the cleanup
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("run: got %v, want no error", err)
		}
	})
	select {
	case a := <-ready:
		return a.Listen[0].String()
	case err := <-ended:
		ended <- err
		t.Fatalf("run: got %v, want it to serve", err)
	}
	return ""
}

// credentials are what a client may have: headers, and the resources that it may therefore be served.
type credentials struct {
	name      string
	headers   string
	forbidden string // what no answer may hold
}

func clients(t *testing.T) (nobody, unbound, bound credentials) {
	t.Helper()
	claims := tree{"exp": time.Now().Add(time.Hour).Unix()}
	plain, err := mint.Sign("HS256", "", testKey(), claims)
	if err != nil {
		t.Fatal(err)
	}
	claims["pay"] = token.Pay([]byte(bearer))
	tied, err := mint.Sign("HS256", "", testKey(), claims)
	if err != nil {
		t.Fatal(err)
	}
	return credentials{"no token", "", "PROTECTED"},
		credentials{"an unbound token", "Approov-Token: " + plain + "\r\n", "PROTECTED-ADMIN"},
		credentials{"a bound token", "Approov-Token: " + tied + "\r\nAuthorization: " + bearer + "\r\n", "FORBIDDEN"}
}

// send writes one request line as it stands and returns the whole answer.
func send(t *testing.T, address, method, target string, c credentials) string {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	// A server that refuses early may close before all is written; the answer tells.
	_, _ = fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: api.example.com\r\n%sConnection: close\r\n\r\n", method, target, c.headers)
	answer, err := io.ReadAll(conn)
	if err != nil && len(answer) == 0 {
		t.Fatalf("%s %.80q: got no answer: %v", method, target, err)
	}
	return string(answer)
}

func TestNoSpellingLeadsAroundARule(t *testing.T) {
	for _, kind := range kinds {
		for _, loose := range []bool{false, true} {
			t.Run(kind.name+" "+word(loose), func(t *testing.T) {
				t.Parallel()
				address := startGate(t, kind.start(t, loose), loose)
				plainRequestsWork(t, address)
				nobody, unbound, _ := clients(t)
				served := map[string]int{}
				for _, client := range []credentials{nobody, unbound} {
					for _, target := range spellings() {
						answer := send(t, address, "GET", target, client)
						if strings.Contains(answer, client.forbidden) {
							t.Errorf("%.200q with %s: got %.300q, want no %s", target, client.name, answer, client.forbidden)
						}
						served[resource(answer)]++
					}
				}
				for _, method := range []string{"OPTIONS", "CONNECT", "get", "HEAD"} {
					for _, target := range []string{"*", "/api/admin", "api.example.com:80", "/public/../api/admin"} {
						if answer := send(t, address, method, target, nobody); strings.Contains(answer, nobody.forbidden) {
							t.Errorf("%s %q: got %.300q, want no %s", method, target, answer, nobody.forbidden)
						}
					}
				}
				t.Logf("answers: %v", served)
				if served["PUBLIC"] < 20 || served["PROTECTED-API"] < 1 || served["refused 400"] < 100 || served["refused 401"] < 100 {
					t.Errorf("got answers %v, want many of each kind; the matrix tells little", served)
				}
			})
		}
	}
}

// plainRequestsWork shows that the backend serves what the matrix looks for, to those who may have it.
func plainRequestsWork(t *testing.T, address string) {
	t.Helper()
	nobody, unbound, bound := clients(t)
	for _, row := range []struct {
		target string
		client credentials
		want   string
	}{
		{"/public/page", nobody, "PUBLIC"}, {"/api/other", nobody, "refused 401"}, {"/api/admin", nobody, "refused 401"},
		{"/api/other", unbound, "PROTECTED-API"}, {"/api/admin", unbound, "refused 401"}, {"/api/keys/1", unbound, "refused 401"}, {"/api/caf%C3%A9", unbound, "refused 401"},
		{"/api/admin", bound, "PROTECTED-ADMIN"}, {"/api/keys/1", bound, "PROTECTED-ADMIN"}, {"/api/caf%C3%A9", bound, "PROTECTED-ADMIN"},
		{"//api/./admin", bound, "PROTECTED-ADMIN"},
	} {
		if answer := send(t, address, "GET", row.target, row.client); resource(answer) != row.want {
			t.Fatalf("%s with %s: got %.300q, want %s", row.target, row.client.name, answer, row.want)
		}
	}
}

// resource names what an answer is: a resource of the backend, or a refusal of the gate.
func resource(answer string) string {
	head, body, _ := strings.Cut(answer, "\r\n\r\n")
	for _, name := range []string{"PROTECTED-ADMIN", "PROTECTED-API", "PUBLIC"} {
		if strings.Contains(body, name) {
			return name
		}
	}
	status, _, _ := strings.Cut(strings.TrimPrefix(head, "HTTP/1.1 "), " ")
	if strings.Contains(body, "unauthorized") || status == "400" {
		return "refused " + status
	}
	return "nothing"
}
