package suite

import (
	"strings"
	"time"

	"github.com/approovgate/approovgate/mint"
	"github.com/approovgate/approovgate/token"
)

// answered asks with requests of all kinds under policies that answer and log in all ways.
func answered(p *player) {
	sign := func(claims tree) string {
		text, err := mint.Sign("HS256", "", secretOf("account"), claims)
		if err != nil {
			p.Fatal(err)
		}
		return text
	}
	later := noon.Add(time.Hour).Unix()
	genuine := sign(tree{"exp": later, "did": "h4gubfCFzJu81j/U2BJsdg==", "ip": "203.0.113.9", "iss": "approov.io", "arc": "ARC123", "anno": []string{"a", "b"}})
	tokens := []string{
		"", genuine, genuine + "x", "garbage", "a.b.c", strings.Repeat("A", 9000), sign(tree{"exp": noon.Add(-time.Hour).Unix(), "arc": "ARC9"}), sign(tree{"did": "x"}),
		sign(tree{"exp": later, "did": strings.Repeat("d", 300), "ip": "2001:db8:1:2::3", "arc": "\u202edangerous\u0085"}), sign(tree{"exp": 1e300, "ip": "no address"}),
		sign(tree{"exp": later, "pay": token.Pay([]byte("x"))}), sign(tree{"exp": later, "anno": "not a list"}),
	}
	heads := []string{
		"GET /pay HTTP/1.1\r\nHost: api.example.com\r\n",
		"HEAD /pay?secret=1 HTTP/1.1\r\nHost: user:pass@api.example.com\r\n",
		"POST /svc/Method HTTP/1.1\r\nHost: api.example.com\r\nContent-Type: application/grpc\r\n",
		"POST /svc/Method HTTP/1.1\r\nHost: api.example.com\r\nContent-Type: application/grpc-web-text+proto; x=y\r\n",
		"POST /svc/Method HTTP/1.1\r\nHost: api.example.com\r\nContent-Type: application/grpc-web\r\n",
		"POST /svc/Method HTTP/1.1\r\nHost: api.example.com\r\nContent-Type: application/grpcx\r\nContent-Length: 0\r\n",
		"OPTIONS /pay HTTP/1.1\r\nHost: api.example.com\r\nOrigin: https://a\r\nAccess-Control-Request-Method: GET\r\n",
		"OPTIONS * HTTP/1.1\r\nHost: api.example.com\r\n",
		"CONNECT api.example.com:443 HTTP/1.1\r\nHost: api.example.com:443\r\n",
		"GET http://user:pass@other.example.com/pay%2F?q HTTP/1.1\r\nHost: other.example.com\r\n",
		"GET /pay/../x HTTP/1.1\r\nHost: api.example.com\r\nConnection: keep-alive, X-Approov-Verdict\r\nX-Approov-Verdict: pass\r\nX_Approov_Device: me\r\n",
		"GET /" + strings.Repeat("long", 100) + "\u00e9 HTTP/1.1\r\nHost: api.example.com\r\nX-Original-URL: /open\r\n",
		"PUT /feed HTTP/1.1\r\nHost: api.example.com\r\nTransfer-Encoding: chunked\r\nTrailer: Approov-Token\r\n",
	}
	peers := []string{"", "198.51.100.7:1", "[2001:db8:1:2::3]:4711", "[fe80::1%eth0]:1", "@", "198.51.100.7"}
	asked := 0
	for _, policy := range []tree{
		p.policy(tree{"privacy": tree{"device_id": "raw", "ip": "raw"}, "respond": tree{"details": true}}),
		p.policy(tree{"privacy": tree{"device_id": "raw"}, "respond": tree{"status": 403, "body": "", "content_type": "text/plain"}, "token": tree{"forward": "always"},
			"upstream_headers": tree{"verdict": "", "reason": "X-Why", "device": "X-Device"}}),
		p.policy(tree{"privacy": tree{"device_id": "raw"}, "mode": "log", "token": tree{"forward": "never", "max_bytes": 1024}, "preflight": "check"}),
		p.policy(tree{"privacy": tree{"device_id": "raw"}, "mode": "bypass"}),
	} {
		p.open("edge", policy)
		for i, head := range heads {
			for j, text := range tokens {
				if i > 0 && j > 3 && (i+j)%4 != 0 {
					continue // every token in one request, and every fourth pair of the others
				}
				request := head
				if text != "" {
					request += "Approov-Token: " + text + "\r\n"
				}
				p.run(tree{"do": "ask", "request": request + "\r\n", "peer": peers[(i+j)%len(peers)]})
				p.run(tree{"do": "log", "request": request + "\r\n", "peer": peers[(i+j)%len(peers)]})
				asked++
			}
		}
		p.run(tree{"do": "counters"})
		p.run(tree{"do": "status"})
	}
	if asked < 200 {
		p.Errorf("got %d requests, want at least 200", asked)
	}
}
